import HTTP2
import Testing

@Suite struct AnswerTests {
    /// A server with one request open in slot 0, on stream 1.
    private func asked(_ first: Frame = .get(1)) throws -> Server {
        let server = try Server.greeted()
        server.receive(first)
        server.log = []
        return server
    }

    @Test func headLosesTheConnectionsFields() throws {
        let server = try asked()
        let head = """
            HTTP/1.1 404 Not Found\r\nConnection: close, x\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n\
            Transfer-Encoding: chunked\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Empty:\r\nX-Tab:  a\tb \r\n\r\n
            """
        #expect(server.head(0, head, ends: true))
        let frames = server.send()
        #expect(
            server.fields(frames) == [
                [":status: 404", "set-cookie: a=1", "set-cookie: b=2", "x-empty: ", "x-tab: a\tb"]
            ])
        #expect(frames.map(\.endsStream) == [true])
        #expect(server.log == ["closed 0 0"])
    }

    @Test(arguments: [
        "", "HTTP/1.1 20", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\nc: d\r\n\r\n", "HTTP/1.1 200 OK\r\nA B: c\r\n\r\n", "HTTP/1.1 200 OK\r\n: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: \u{0}\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n", "HTTP/1.1 200 OK",
    ])
    func malformedHead(text: String) throws {
        let server = try asked()
        #expect(!server.head(0, text))
        #expect(server.send().isEmpty)
        #expect(server.head(0, "HTTP/1.1 502 x\r\n\r\n", ends: true))
    }

    /// Ids that never come again leave HPACK's table to fields that do.
    @Test func idsPushNothingOut() throws {
        let server = try Server.greeted()
        let same = String(repeating: "s", count: 100)
        for number in 0..<100 {
            server.receive(.get(UInt32(2 * number + 1)))
            let id = 1000 + number
            #expect(server.head(0, "HTTP/1.1 200 OK\r\nX-Same: \(same)\r\nX-Request-Id: \(id)\r\n\r\n", ends: true))
            let frames = server.send()
            #expect(server.fields(frames) == [[":status: 200", "x-same: \(same)", "x-request-id: \(id)"]])
            #expect(number == 0 || frames[0].payload.count < 12)
        }
    }

    @Test func interimThenFinalOnce() throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"))
        #expect(!server.head(0, "HTTP/1.1 100 Continue\r\n\r\n", ends: true))
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n", ends: true))
        #expect(!server.head(0, "HTTP/1.1 200 OK\r\n\r\n", ends: true))
        let frames = server.send()
        #expect(server.fields(frames) == [[":status: 103", "link: </a>"], [":status: 200"]])
        #expect(frames.map(\.endsStream) == [false, true])
    }

    /// END_STREAM comes on the last frame that carries something, and in an empty DATA frame only when the end was not
    /// known before.
    @Test func endOfStream() throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 20_000, ends: true)
        #expect(!server.session.hasSentEnd(0))
        let frames = server.send()
        #expect(frames.map(\.type) == [1, 0, 0])
        #expect(frames.map(\.payload.count).dropFirst() == [16_375, 20_000 - 16_375])
        #expect(frames.map(\.endsStream) == [false, false, true])
        #expect(server.log == ["closed 0 0"])

        server.receive(.get(3))
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 5)
        #expect(server.send().map(\.endsStream) == [false, false])
        server.body(0, 0, ends: true)
        #expect(server.send() == [.data(3, [], ends: true)])
        #expect(!server.session.wantsToSend)
    }

    /// The largest head that a container may send.
    @Test func largeHead() throws {
        let server = try asked()
        let line = "X-Field: " + String(repeating: "~", count: 900) + "\r\n"
        let head = "HTTP/1.1 200 OK\r\n" + String(repeating: line, count: 71) + "\r\n"
        #expect(head.utf8.count < 65_536)
        #expect(server.head(0, head, ends: true))
        let frames = server.send()
        #expect(frames.map(\.type).first == 1)
        #expect(frames.map(\.type).dropFirst().allSatisfy { $0 == 9 })
        #expect(server.inflater.fields(frames.flatMap(\.payload)).count == 72)
        #expect(server.log == ["closed 0 0"])
    }

    @Test func waitsForMore() throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(server.send().map(\.type) == [1])
        #expect(!server.session.wantsToSend)
        server.body(0, 0)
        #expect(!server.session.wantsToSend)
        server.body(0, 3)
        #expect(server.session.wantsToSend)
        #expect(server.send() == [.data(1, [0, 0, 0])])
        server.body(0, 0)
        #expect(server.send().isEmpty)
        server.body(0, 1, ends: true)
        #expect(server.send() == [.data(1, [0], ends: true)])
    }

    @Test(arguments: [(0, false), (4, false), (4, true), (40_000, true)])
    func trailers(count: Int, late: Bool) throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, count)
        var frames = late ? server.send() : []
        if late { server.body(0, 0) }
        #expect(server.session.submitTrailers(0, Array("X-Sum: 1\r\nTransfer-Encoding: x\r\n".utf8).span) == true)
        frames += server.send()
        #expect(server.fields(frames) == [[":status: 200"], ["x-sum: 1"]])
        #expect(frames.filter { $0.type == 0 }.map(\.payload.count).reduce(0, +) == count)
        #expect(frames.map(\.endsStream).dropLast().allSatisfy { !$0 })
        #expect(frames.last?.endsStream == true)
        #expect(frames.last?.type == 1)
        #expect(server.log == ["closed 0 0"])
    }

    @Test func trailersWithoutFieldsEndTheBody() throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 2)
        #expect(server.session.submitTrailers(0, [UInt8]().span) == true)
        #expect(server.send().last == .data(1, [0, 0], ends: true))
    }

    @Test func limitEndsCollecting() throws {
        let server = try asked()
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 40_000, ends: true)
        #expect(server.send(limit: 1).map(\.payload.count).dropFirst() == [16_375])
        #expect(server.session.wantsToSend)
        // Frames come even when no DATA may.
        server.receive(.ping())
        #expect(server.send(limit: 0).map(\.type) == [6])
        #expect(server.send(limit: 16_376).count == 2)
        #expect(!server.session.wantsToSend)
        #expect(server.log == ["closed 0 0"])
    }

    @Test func resetDropsTheRest() throws {
        let server = try asked(.post(1))
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        server.body(0, 10)
        _ = server.send()
        server.body(0, 10)
        server.session.reset(0, .internalError)
        #expect(server.send() == [.reset(1, .internalError)])
        #expect(server.log == ["closed 0 2"])
        // Nothing can be done with the slot now.
        server.body(0, 10)
        server.session.reset(0, .cancel)
        #expect(!server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        #expect(server.send().isEmpty)
    }

    /// RFC 9113 section 8.1: an answer may be complete before its request.
    @Test func earlyAnswer() throws {
        let server = try asked(.post(1))
        #expect(server.head(0, "HTTP/1.1 413 x\r\n\r\n", ends: true))
        #expect(!server.session.hasSentEnd(0))
        #expect(server.send().map(\.endsStream) == [true])
        #expect(server.session.hasSentEnd(0))
        #expect(server.log.isEmpty)
        server.session.reset(0, .noError)
        #expect(server.send() == [.reset(1, .noError)])
        #expect(server.log == ["closed 0 0"])
    }

    @Test func slotIsUsedAgainOnlyWhenItsEndWasTaken() throws {
        let session = try #require(HTTP2Session(HTTP2Settings()))
        func receive(_ frames: [Frame], hello: Bool = false) {
            let bytes = (hello ? Frame.hello : []) + frames.flatMap(\.bytes)
            #expect(session.receive(bytes.span, nowMs: 0) == .taken(bytes.count))
        }
        receive([.get(1), .reset(1), .get(3)], hello: true)
        var slots: [Int] = []
        while let event = session.takeEvent() { if case .request(let slot, _, _, _) = event { slots.append(slot) } }
        #expect(slots == [0, 1])
        receive([.get(5), .reset(5), .get(7)])
        slots = []
        while let event = session.takeEvent() { if case .request(let slot, _, _, _) = event { slots.append(slot) } }
        #expect(slots == [0, 2])
        #expect(session.openStreams == 2)
    }
}
