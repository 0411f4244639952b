import HTTP2
import Testing

@Suite struct WindowTests {
    @Test func helloSaysOurBounds() throws {
        let server = try Server(
            HTTP2Settings(streams: 7, connectionWindow: 1 << 20, streamWindow: 1 << 16, headBytes: 9000))
        let frames = server.send()
        #expect(frames.map(\.type) == [4, 8])
        let pairs = stride(from: 0, to: frames[0].payload.count, by: 6).map {
            [UInt32(frames[0].payload[$0 + 1]), frames[0].word($0 + 2)]
        }
        #expect(pairs == [[1, 4096], [3, 7], [4, 65_536], [6, 9000], [8, 1], [9, 1]])
        #expect(frames[1] == .windowUpdate(0, (1 << 20) - 65_535))
    }

    /// What the server gave back: bytes by stream, 0 for the connection.
    private func updates(_ frames: [Frame]) -> [UInt32: Int] {
        var sums: [UInt32: Int] = [:]
        for frame in frames where frame.type == 8 { sums[frame.id, default: 0] += Int(frame.word(0)) }
        return sums
    }

    private static let settings = HTTP2Settings(connectionWindow: 65_535, streamWindow: 30_000)

    /// A server that does not consume, with a POST open and as much of its body as the window lets in.
    private func full(_ padding: Int = 0) throws -> Server {
        let server = try Server.greeted(Self.settings)
        server.consumes = false
        server.receive(.post(1))
        if padding > 0 {
            server.receive(.padded(1, [UInt8](repeating: 1, count: 10_000), padding: padding))
            server.receive(.padded(1, [UInt8](repeating: 1, count: 10_000), padding: padding))
        } else {
            server.receive(
                .data(1, [UInt8](repeating: 1, count: 15_000)), .data(1, [UInt8](repeating: 1, count: 15_000)))
        }
        return server
    }

    @Test func opensAsTheBodyIsConsumed() throws {
        let server = try full()
        #expect(server.bodies[0]?.count == 30_000)
        #expect(updates(server.send()).isEmpty)
        server.session.consumed(0, 30_000)
        #expect(updates(server.send()) == [1: 30_000])
        // More than it owes is not credited.
        server.session.consumed(0, 30_000)
        #expect(updates(server.send()).isEmpty)
        server.receive(.data(1, [UInt8](repeating: 1, count: 5000)))
        server.session.consumed(0, 5000)
        // The connection's window is opened by halves.
        #expect(updates(server.send()) == [0: 35_000])
    }

    @Test func overTheWindowIsAnError() throws {
        let server = try full()
        server.receive(.data(1, [1]))
        #expect(server.send().contains(.reset(1, .flowControlError)))
    }

    @Test func paddingIsCredited() throws {
        let server = try full(200)
        #expect(server.bodies[0]?.count == 20_000)
        server.session.consumed(0, 20_000)
        #expect(updates(server.send())[1] == 20_402)
    }

    /// Whatever becomes of a stream, the connection gets its bytes back.
    @Test(arguments: ["reset by us", "reset by the client", "reset, and DATA in flight", "refused"])
    func connectionIsCredited(_ what: String) throws {
        let server = try Server.greeted(Self.settings)
        server.consumes = false
        let body = [UInt8](repeating: 1, count: 8000)
        var sum = 0
        for number in 0..<20 {
            let id = UInt32(number * 2 + 1)
            if what == "refused" {
                server.receive(.headers(id, Frame.request("POST", "/#"), ends: false))
            } else {
                server.receive(.post(id))
            }
            server.receive(.data(id, body))
            switch what {
            case "reset by the client": server.receive(.reset(id))
            case "reset, and DATA in flight":
                server.session.reset(0, .cancel)
                sum += updates(server.send())[0] ?? 0
                server.receive(.padded(id, body, padding: 3))
            default:
                server.session.reset(0, .cancel)
            }
            sum += updates(server.send())[0] ?? 0
        }
        // What was credited when the last end was taken.
        sum += updates(server.send())[0] ?? 0
        let sent = 20 * (what == "reset, and DATA in flight" ? 16_004 : 8000)
        // All but what is less than half a window.
        #expect(sum > sent - 32_768)
        #expect(sum <= sent)
        #expect(server.session.openStreams == 0)
    }

    @Test func answerWaitsForTheClientsWindow() throws {
        let server = try Server(HTTP2Settings())
        server.receive(Frame.preface + Frame.settings([(4, 10)]).bytes + Frame.get(1).bytes)
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 30, ends: true)
        #expect(server.send().last == .data(1, [UInt8](repeating: 0, count: 10)))
        #expect(!server.session.wantsToSend)
        server.receive(.windowUpdate(1, 5))
        #expect(server.send() == [.data(1, [UInt8](repeating: 0, count: 5))])
        server.receive(.settings([(4, 30)]))
        let frames = server.send()
        #expect(frames.last == .data(1, [UInt8](repeating: 0, count: 15), ends: true))
    }

    @Test func connectionWindowBindsAllStreams() throws {
        let server = try Server(HTTP2Settings())
        server.receive(Frame.preface + Frame.settings([(4, 1 << 20)]).bytes + Frame.get(1).bytes + Frame.get(3).bytes)
        for slot in 0..<2 {
            #expect(server.head(slot, "HTTP/1.1 200 OK\r\n\r\n"))
            server.body(slot, 50_000, ends: true)
        }
        #expect(server.send().filter { $0.type == 0 }.map(\.payload.count).reduce(0, +) == 65_535)
        #expect(!server.session.wantsToSend)
        server.receive(.windowUpdate(0, 100_000))
        #expect(server.send().filter { $0.type == 0 }.map(\.payload.count).reduce(0, +) == 100_000 - 65_535)
    }

    @Test func eventsOfOpening() throws {
        let session = try #require(HTTP2Session(HTTP2Settings()))
        let bytes =
            Frame.hello + Frame.get(1).bytes + Frame.windowUpdate(1, 9).bytes + Frame.windowUpdate(0, 9).bytes
            + Frame.windowUpdate(0, 9).bytes + Frame.goAway().bytes
        #expect(session.receive(bytes.span, nowMs: 0) == .taken(bytes.count))
        var events: [HTTP2Event] = []
        while let event = session.takeEvent() { events.append(event) }
        #expect(events.count == 5)
        #expect(events[0] == .windowOpened(slot: -1))
        #expect(Array(events[2...]) == [.windowOpened(slot: 0), .windowOpened(slot: -1), .goAway])
    }
}
