import HTTP2
import Testing

@Suite struct LimitTests {
    /// 4 pseudo-fields of `Frame.request("GET")`: names, values and 32 each.
    private static let base = 7 + 3 + 7 + 5 + 10 + 6 + 5 + 1 + 4 * 32

    @Test(arguments: [(0, true), (1, false)])
    func headBytes(over: Int, fits: Bool) throws {
        let server = try Server.greeted(HTTP2Settings(headBytes: 1000))
        let value = String(repeating: "v", count: 1000 - Self.base - 33 + over)
        server.receive(.get(1, "/", [("x", value)]))
        #expect(
            server.log.first?.hasPrefix(fits ? "request 0" : "refused 0 headTooLarge(blamesCookies: false)") == true)
    }

    @Test(arguments: [(10, true), (11, false)])
    func headFields(count: Int, fits: Bool) throws {
        let server = try Server.greeted(HTTP2Settings(headFields: 10))
        server.receive(.get(1, "/", (4..<count).map { _ in ("cookie", "a") }))
        #expect(server.log.first?.hasPrefix(fits ? "request 0" : "refused 0 tooManyFields") == true)
    }

    @Test(arguments: [("GET", 600, true), ("HEAD", 600, true), ("POST", 600, false), ("GET", 400, false)])
    func cookiesAreBlamed(method: String, cookie: Int, blamed: Bool) throws {
        let server = try Server.greeted(HTTP2Settings(headBytes: 1000))
        let fields = [
            ("cookie", String(repeating: "c", count: cookie)), ("x", String(repeating: "x", count: 1000 - cookie)),
        ]
        server.receive(.headers(1, Frame.request(method) + fields))
        #expect(server.log == ["refused 0 headTooLarge(blamesCookies: \(blamed)) ends"])
    }

    /// What is over the limit is not stored, and HPACK's table stays in step: an indexed field of the refused head is
    /// known to the next.
    @Test func tableStaysInStep() throws {
        let server = try Server.greeted(HTTP2Settings(headBytes: 500))
        var block = Frame.block(Frame.request("GET") + [("x", String(repeating: "v", count: 600))])
        block += [0x40, 1] + Array("y".utf8) + [1] + Array("z".utf8)
        server.receive(Frame(type: 1, flags: 5, id: 1, payload: block))
        server.receive(Frame(type: 1, flags: 5, id: 3, payload: Frame.block(Frame.request("GET")) + [0x80 | 62]))
        #expect(server.log.count == 2)
        #expect(server.log[1] == "request 1 ends GET / HTTP/1.1\r\nHost: a.test\r\ny: z\r\n\r\n")
    }

    /// A bomb: fields of one byte each on the wire (CVE-2026-49975).
    @Test(arguments: [(900, "refused"), (1100, "goAway")])
    func manyIndexedFields(count: Int, outcome: String) throws {
        let server = try Server.greeted()
        var block = Frame.block(Frame.request("GET"))
        block += [0x40, 1] + Array("y".utf8) + [127, 0x81, 0x18] + [UInt8](repeating: 0x61, count: 127 + 1 + 24 * 128)
        block += [UInt8](repeating: 0x80 | 62, count: count)
        server.receive(Frame(type: 1, flags: 5, id: 1, payload: block))
        let frames = server.send()
        if outcome == "refused" {
            #expect(server.log == ["refused 0 headTooLarge(blamesCookies: false) ends"])
        } else {
            #expect(server.last == .failed)
            #expect(server.log.isEmpty)
            #expect(frames.last?.type == 7)
            #expect(frames.last?.word(4) == HTTP2Error.enhanceYourCalm.rawValue)
            #expect(server.session.isFinished)
        }
    }

    @Test func bodyOfARefusedRequestIsNotTold() throws {
        let server = try Server.greeted(HTTP2Settings(headFields: 3))
        server.receive(.post(1), .data(1, [1, 2, 3]), .data(1, [], ends: true))
        #expect(server.log == ["refused 0 tooManyFields(blamesCookies: false)", "ended 0"])
        #expect(server.bodies[0] == nil)
    }

    @Test func newStreamsPerCall() throws {
        let session = try #require(HTTP2Session(HTTP2Settings(newStreams: 2)))
        let frames = [1, 3, 5, 7, 9].map { Frame.get($0).bytes }
        var bytes = Frame.hello + frames.flatMap(\.self)
        var requests: [Int] = []
        while true {
            guard case .taken(let count) = session.receive(bytes.span, nowMs: 0) else { break }
            bytes.removeFirst(count)
            var begun = 0
            while let event = session.takeEvent() { if case .request = event { begun += 1 } }
            requests.append(begun)
            if bytes.isEmpty { break }
        }
        #expect(requests == [2, 2, 1])
    }

    @Test func concurrentStreams() throws {
        let server = try Server(HTTP2Settings(streams: 2))
        server.receive(Frame.hello + [1, 3, 5].flatMap { Frame.get($0).bytes })
        #expect(server.log.count == 2)
        #expect(server.send().contains(.reset(5, .refusedStream)))
        // Once our SETTINGS are acknowledged it is an error.
        server.receive(.settingsAck, .get(7))
        #expect(server.last == .failed)
        #expect(server.send().contains { $0.type == 7 })
    }
}
