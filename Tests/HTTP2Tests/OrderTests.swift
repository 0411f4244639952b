import HTTP2
import Testing

/// Whose turn it is, and how a connection ends.
@Suite struct OrderTests {
    /// A server with an answer of `counts` bytes ready on each stream.
    private func answering(_ priorities: [String], _ counts: Int, first: [Frame] = []) throws -> Server {
        let server = try Server()
        var frames = [Frame.settings([(4, 1 << 24)]), .settingsAck, .windowUpdate(0, 1 << 24)] + first
        for (slot, priority) in priorities.enumerated() {
            frames.append(.get(UInt32(slot * 2 + 1), "/", priority.isEmpty ? [] : [("priority", priority)]))
        }
        server.receive(Frame.preface + frames.flatMap(\.bytes))
        for slot in priorities.indices {
            #expect(server.head(slot, "HTTP/1.1 200 OK\r\n\r\n"))
            server.body(slot, counts, ends: true)
        }
        return server
    }

    private func turns(_ server: Server) -> [UInt32] {
        server.send().filter { $0.type == 0 }.map(\.id)
    }

    @Test func urgentFirst() throws {
        let server = try answering(["u=5", "u=1", "", "u=0"], 20_000)
        #expect(turns(server) == [7, 7, 3, 3, 5, 5, 1, 1])
    }

    @Test func incrementalInTurn() throws {
        let server = try answering(["u=2, i", "u=2, i", "u=2, i"], 40_000)
        #expect(turns(server) == [1, 3, 5, 1, 3, 5, 1, 3, 5])
        #expect(try turns(answering(["u=2", "u=2"], 40_000)) == [1, 1, 1, 3, 3, 3])
    }

    @Test func updates() throws {
        let server = try answering(["u=5", "u=3"], 20_000, first: [.priorityUpdate(3, "u=6, i")])
        #expect(server.session.urgency(0) == (5, false))
        #expect(server.session.urgency(1) == (6, true))
        server.receive(.priorityUpdate(1, "u=7"))
        #expect(server.session.urgency(0) == (7, false))
        #expect(turns(server) == [3, 3, 1, 1])
        #expect(server.session.urgency(99) == (3, false))
    }

    /// RFC 9113 section 6.8.
    @Test func gracefulEnd() throws {
        let server = try Server.greeted()
        server.receive(.get(1))
        server.session.shutdownNotice()
        var frames = server.send()
        #expect(frames.map(\.type) == [7])
        #expect(frames[0].word(0) == 0x7fff_ffff)
        server.receive(.get(3))
        #expect(server.log.count == 2)
        server.session.goAway(.noError)
        frames = server.send()
        #expect(frames.map(\.type) == [7])
        #expect(frames[0].word(0) == 3)
        #expect(frames[0].word(4) == 0)
        // What comes later is not served, and the rest is finished.
        server.receive(.post(5), .data(5, [1]))
        #expect(server.log.count == 2)
        #expect(!server.session.isFinished)
        for slot in 0..<2 { #expect(server.head(slot, "HTTP/1.1 200 OK\r\n\r\n", ends: true)) }
        _ = server.send()
        #expect(server.log.dropFirst(2) == ["closed 0 0", "closed 1 0"])
        #expect(server.session.isFinished)
    }

    @Test func goAwayWithAnErrorEndsAll() throws {
        let server = try Server.greeted()
        server.receive(.get(1))
        server.session.goAway(.internalError)
        #expect(!server.session.isFinished)
        let frames = server.send()
        #expect(frames.map { [UInt32($0.type), $0.word(0), $0.word(4)] } == [[7, 1, 2]])
        #expect(server.session.isFinished)
        server.receive(.get(3))
        #expect(server.last == .failed)
    }

    @Test func clientsGoAway() throws {
        let server = try Server.greeted()
        server.receive(.get(1), .goAway())
        #expect(server.log.last == "goAway")
        #expect(!server.session.isFinished)
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n", ends: true))
        _ = server.send()
        #expect(server.session.isFinished)
    }
}
