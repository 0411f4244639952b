import HTTP2
import Testing

/// What is told does not depend on how the bytes arrive.
@Suite struct SplitTests {
    static let conversations: [[Frame]] = [
        [
            .settings([(4, 70_000)]), .settingsAck, .windowUpdate(0, 1000),
            .get(1, "/a", [("cookie", "x"), ("cookie", "y")]), .post(3), .priorityUpdate(3, "u=1"),
            .data(3, [1, 2, 3]), .padded(3, [4], padding: 3), .ping(), .data(3, [], ends: true), .get(5), .reset(5),
            .headers(7, Frame.request("GET"), complete: false), .continuation(7, [("a", "b")], complete: false),
            .continuation(7, [("c", "d")]), .post(9), .data(9, [9]), .headers(9, [("sum", "1")]), .goAway(),
        ],
        // Refused and reset ones among those that are served.
        [
            .get(1, "/#"), .headers(3, [(":method", "GET")]), .post(5), .data(5, [1]),
            .headers(7, Frame.request("POST", "/#"), ends: false), .data(7, [1, 2]), .data(5, [2], ends: true),
            .headers(9, Frame.request("GET") + [("x", "a\nb")]), .data(7, [], ends: true), .get(11),
        ],
        // Violations end it.
        [.get(1), .data(1, [1]), .get(3)],
        [.get(1), .windowUpdate(0, 0), .get(3)],
        [.get(1), .headers(3, Frame.request("GET"), complete: false), .get(5), .get(7)],
        [.get(1), Frame(type: 4, payload: [1]), .get(3)],
        [.get(1), Frame(type: 5, id: 1, payload: [0, 0, 0, 2]), .get(3)],
        [.get(1), Frame(type: 1, flags: 5, id: 3, payload: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), .get(5)],
        [.get(1), .data(0, [1]), .get(3)],
        [.get(1), .get(2), .get(3)],
        [.get(1), .data(9, [1]), .get(3)],
    ]

    private static func tell(_ pieces: [ArraySlice<UInt8>]) throws -> (
        log: [String], bodies: [Int: [UInt8]], end: Frame?
    ) {
        let server = try Server(HTTP2Settings())
        server.countsRequests = true
        for piece in pieces {
            server.receive(Array(piece))
            if server.last == .failed { break }
        }
        let end = server.send().last { $0.type == 7 }
        return (server.log, server.bodies, end)
    }

    @Test(arguments: conversations.indices) func anySplit(row: Int) throws {
        let bytes = Frame.hello + Self.conversations[row].flatMap(\.bytes)
        let whole = try Self.tell([bytes[...]])
        #expect(!whole.log.isEmpty)
        for split in 1..<bytes.count {
            let parts = try Self.tell([bytes[..<split], bytes[split...]])
            #expect(parts.log == whole.log, "split at \(split)")
            #expect(parts.bodies == whole.bodies, "split at \(split)")
            #expect(parts.end == whole.end, "split at \(split)")
        }
        let single = try Self.tell(bytes.indices.map { bytes[$0...$0] })
        #expect(single.log == whole.log)
        #expect(single.bodies == whole.bodies)
        #expect(single.end == whole.end)
    }

    @Test func violationsSayWhatAndWhere() throws {
        let codes: [HTTP2Error] = [
            .streamClosed, .protocolError, .protocolError, .frameSizeError, .protocolError, .compressionError,
            .protocolError, .protocolError, .protocolError,
        ]
        for (conversation, code) in zip(Self.conversations.dropFirst(2), codes) {
            let end = try Self.tell([(Frame.hello + conversation.flatMap(\.bytes))[...]]).end
            #expect(end?.word(4) == code.rawValue, "\(conversation)")
            #expect((1...3).contains(end?.word(0) ?? 0))
        }
    }

    @Test(arguments: ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r\r\r"])
    func notHTTP2(text: String) throws {
        let server = try Server()
        server.receive(Array(text.utf8))
        #expect(server.last == .failed)
        #expect(server.log.isEmpty)
        #expect(server.send().last?.type == 7)
        #expect(server.session.isFinished)
    }
}
