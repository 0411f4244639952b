import Testing

@testable import HTTP2

/// Receive windows that grow with the stream, and the connection's, which stalled streams must not shut.
@Suite struct WideningTests {
    /// Room for 8 windows: 4 that stay and 4 to gain.
    private static let settings = HTTP2Settings(connectionWindow: 400_000, streamWindow: 50_000)

    /// What the server gave back: bytes by stream, 0 for the connection.
    private func updates(_ frames: [Frame]) -> [UInt32: Int] {
        var sums: [UInt32: Int] = [:]
        for frame in frames where frame.type == 8 { sums[frame.id, default: 0] += Int(frame.word(0)) }
        return sums
    }

    private func pieces(_ id: UInt32, _ count: Int) -> [UInt8] {
        stride(from: 0, to: count, by: 10_000).flatMap {
            Frame.data(id, [UInt8](repeating: 1, count: min(10_000, count - $0))).bytes
        }
    }

    /// Sends `count` bytes of stream `id` as its window allows, which are consumed as they come; the window then.
    private func upload(_ server: Server, _ id: UInt32, _ count: Int, window: Int = 50_000) throws -> Int {
        var window = window
        var left = count
        while left > 0 {
            let step = min(left, window, 10_000)
            try #require(step > 0, "the window is shut")
            server.receive(.data(id, [UInt8](repeating: 1, count: step)))
            left -= step
            window += (updates(server.send())[id] ?? 0) - step
        }
        return window
    }

    @Test func doublesWithEachWindowThatIsConsumed() throws {
        let server = try Server.greeted(Self.settings)
        server.receive(.post(1))
        var window = try upload(server, 1, 49_000)
        #expect(server.session.widened == 0)
        window = try upload(server, 1, 1000, window: window)
        #expect(server.session.widened == 50_000)
        window = try upload(server, 1, 100_000, window: window)
        #expect(server.session.widened == 150_000)
        // 50 000 of the room are left, which is less than the next doubling.
        window = try upload(server, 1, 200_000, window: window)
        #expect(server.session.widened == 200_000)
        window = try upload(server, 1, 1_000_000, window: window)
        #expect(server.session.widened == Self.settings.wideningRoom)
        // The client knows of it, but for what is less than half a window.
        #expect((125_000...250_000).contains(window))
    }

    @Test func notOneThatLags() throws {
        let server = try Server.greeted(Self.settings)
        server.consumes = false
        server.receive(.post(1))
        // More than a quarter of its window is always held.
        server.receive(pieces(1, 20_000))
        var window = 30_000
        for _ in 0..<40 {
            server.receive(pieces(1, 10_000))
            server.session.consumed(0, 10_000)
            window += (updates(server.send())[1] ?? 0) - 10_000
            try #require(window >= 10_000, "the window is shut")
        }
        #expect(server.session.slots[0].owed == 20_000)
        #expect(server.session.widened == 0)
    }

    @Test(arguments: ["reset", "end"]) func roomComesBack(_ what: String) throws {
        let server = try Server.greeted(Self.settings)
        server.receive(.post(1))
        _ = try upload(server, 1, 150_000)
        #expect(server.session.widened == 150_000)
        if what == "reset" {
            server.receive(.reset(1))
        } else {
            server.receive(.data(1, [], ends: true))
            #expect(server.head(0, "HTTP/1.1 204 No Content\r\n\r\n", ends: true))
        }
        _ = server.send()
        #expect(server.session.openStreams == 0)
        #expect(server.session.widened == 0)
        // The slot's next stream begins with the window that all begin with.
        server.receive(.post(3))
        #expect(server.session.slots[0].widened == 0)
        _ = try upload(server, 3, 49_000)
        #expect(server.session.widened == 0)
    }

    @Test func manyShareTheRoom() throws {
        let server = try Server.greeted(Self.settings)
        for id in stride(from: UInt32(1), to: 21, by: 2) {
            server.receive(.post(id))
            _ = try upload(server, id, 60_000)
        }
        #expect(server.session.widened == Self.settings.wideningRoom)
        #expect(server.session.slots.map(\.widened).reduce(0, +) == Self.settings.wideningRoom)
        #expect(server.session.slots.filter { $0.widened > 0 }.count == 4)
    }

    /// nghttp2 holds the client to the window that it was told.
    @Test func theClientMayUseIt() throws {
        let server = try Server.greeted(Self.settings)
        server.receive(.post(1))
        let window = try upload(server, 1, 50_000)
        #expect(window > 50_000)
        server.consumes = false
        server.receive(pieces(1, window))
        #expect(server.bodies[0]?.count == 50_000 + window)
        #expect(!server.send().contains { $0.type == 3 || $0.type == 7 })
        server.receive(pieces(1, 100_001 - window))
        #expect(server.send().contains(.reset(1, .flowControlError)))
    }

    /// Streams that stall hold most of the connection's window: who keeps up still gets all of his back.
    @Test(arguments: [1, 3, 5, 7]) func stalledStreamsShutNobodyOut(stalled: Int) throws {
        let server = try Server.greeted(Self.settings)
        server.consumes = false
        for number in 0..<stalled {
            let id = UInt32(number * 2 + 1)
            server.receive(.post(id))
            server.receive(pieces(id, 50_000))
        }
        // As a client counts.
        var window = 400_000 - stalled * 50_000 + (updates(server.send())[0] ?? 0)
        let id = UInt32(stalled * 2 + 1)
        server.receive(.post(id))
        for _ in 0..<200 {
            try #require(window >= 10_000, "the connection's window is shut")
            server.receive(.data(id, [UInt8](repeating: 1, count: 10_000)))
            window -= 10_000
            server.session.consumed(stalled, 10_000)
            window += updates(server.send())[0] ?? 0
            #expect(window <= 400_000 - stalled * 50_000)
        }
    }

    @Test func refusedStreamsAreCounted() throws {
        let server = try Server(HTTP2Settings(streams: 2))
        server.receive(Frame.hello + [1, 3, 5, 7, 9].flatMap { Frame.get($0).bytes })
        _ = server.send()
        #expect(server.session.refusedStreams == 3)
        // A reset of ours for another reason is none.
        server.session.reset(0, .cancel)
        _ = server.send()
        #expect(server.session.refusedStreams == 3)
    }

    @Test(arguments: [(8000, 0), (9000, 1)]) func largeTrailersAreCounted(size: Int, count: Int) throws {
        let server = try Server.greeted()
        server.receive(.post(1))
        server.receive(.headers(1, [("x", String(repeating: "v", count: size))]))
        #expect(server.session.largeTrailers == count)
        #expect(server.send().contains(.reset(1, .enhanceYourCalm)) == (count == 1))
    }

    /// After abuse nothing more is read, and what is open can still be told.
    @Test func streamsGoOnAfterAbuse() throws {
        let server = try Server.greeted(HTTP2Settings(abuse: (20, 10_000)))
        server.receive(.get(1))
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        for _ in 0..<30 where server.last != .abuse { server.receive(.ping()) }
        #expect(server.last == .abuse)
        let frames = server.send()
        #expect(frames.contains { $0.type == 7 && $0.word(4) == HTTP2Error.enhanceYourCalm.rawValue })
        #expect(!server.session.isFinished)
        server.body(0, 5)
        #expect(server.send() == [.data(1, [UInt8](repeating: 0, count: 5))])
        server.receive(.ping())
        #expect(server.last == .failed)
        server.body(0, 0, ends: true)
        #expect(server.send().last?.flags == 1)
        #expect(server.session.isFinished)
    }

    @Test func aBurstKeepsNoMemory() throws {
        let server = try Server.greeted()
        server.receive(.post(1))
        server.receive([[UInt8]](repeating: Frame.data(1, [1]).bytes, count: 5000).flatMap(\.self))
        #expect(server.bodies[0]?.count == 5000)
        #expect(server.session.events.capacity <= 512)
    }
}
