import Testing

@testable import HTTP2

/// Frames that cost us more than the client.
@Suite struct AbuseTests {
    private static let settings = HTTP2Settings(abuse: (20, 10_000))

    /// Names, what comes first, and what is then sent again and again.
    static let floods: [(name: String, first: [Frame], flood: @Sendable (UInt32) -> [Frame])] = [
        ("PING", [], { _ in [.ping()] }),
        ("SETTINGS", [], { _ in [.settings()] }),
        ("PRIORITY", [], { _ in [.priority(1)] }),
        ("PRIORITY_UPDATE", [.get(1)], { _ in [.priorityUpdate(1, "u=1")] }),
        ("GOAWAY", [], { _ in [.goAway()] }),
        ("unknown", [], { _ in [Frame(type: 0xfa, payload: [1])] }),
        ("empty DATA", [.post(1)], { _ in [.data(1, [])] }),
        ("empty HEADERS", [], { [Frame(type: 1, flags: 1, id: $0), .continuation($0, Frame.request("GET"))] }),
        ("WINDOW_UPDATE", [.get(1)], { _ in [.windowUpdate(0, 1)] }),
        ("RST_STREAM", [], { [.get($0), .reset($0)] }),
        // CVE-2025-8671: the client makes us reset its streams.
        ("too large a window", [], { [.get($0), .windowUpdate($0, 0x7fff_ffff)] }),
        ("malformed", [], { [.headers($0, [(":method", "GET")])] }),
    ]

    @Test(arguments: floods.indices) func isCounted(row: Int) throws {
        let (name, first, flood) = Self.floods[row]
        // The hello counts for one.
        let server = try Server.greeted(Self.settings)
        server.receive(first.flatMap(\.bytes))
        var rounds = 0
        while rounds < 60, server.last != .abuse, server.last != .failed {
            rounds += 1
            server.receive(flood(UInt32(rounds * 2 + 1)).flatMap(\.bytes), nowMs: 0)
            _ = server.send()
        }
        #expect(server.last == .abuse, "\(name)")
        // Window updates are free up to 5 and 2 for the request.
        let free = name == "WINDOW_UPDATE" ? 7 : 0
        #expect((19...21).contains(rounds - free), "\(name): \(rounds)")
        // Streams that are open may go on.
        #expect(server.session.isFinished == (server.session.openStreams == 0))
        server.receive(.get(1001))
        #expect(server.last == .failed)
    }

    @Test(arguments: floods.indices) func isForgivenInTime(row: Int) throws {
        let (name, first, flood) = Self.floods[row]
        let server = try Server.greeted(Self.settings)
        server.receive(first.flatMap(\.bytes))
        for round in 1...60 {
            server.receive(flood(UInt32(round * 2 + 1)).flatMap(\.bytes), nowMs: UInt64(round) * 1500)
            _ = server.send()
        }
        #expect(server.last != .abuse && server.last != .failed, "\(name)")
    }

    /// What is read does not count.
    @Test func readsAll() throws {
        let server = try Server.greeted()
        for ping in 0..<3000 {
            server.receive(.ping(), nowMs: UInt64(ping) * 1000)
            #expect(server.send().count == 1)
        }
        #expect(server.last == .taken(17))
    }

    /// Slow enough not to be abuse, but nothing of what it makes us say is read.
    @Test func readsNothing() throws {
        let server = try Server.greeted()
        var pings = 0
        while server.last != .failed, pings < 5000 {
            server.receive(.ping(), nowMs: UInt64(pings) * 1000)
            pings += 1
        }
        #expect(pings == 1001)
        #expect(server.send().last?.type == 7)
        #expect(server.session.isFinished)
    }

    @Test func tellsTheClient() throws {
        let server = try Server.greeted(Self.settings)
        server.receive(.get(1), .get(3))
        server.receive((0..<30).flatMap { _ in Frame.ping().bytes })
        #expect(server.last == .abuse)
        let frames = server.send()
        #expect(frames.last?.type == 7)
        #expect(frames.last?.word(0) == 3)
        #expect(frames.last?.word(4) == HTTP2Error.enhanceYourCalm.rawValue)
    }

    /// A client that downloads acknowledges with two WINDOW_UPDATEs a frame.
    @Test func windowUpdatesOfADownload() throws {
        let server = try Server.greeted(Self.settings)
        server.receive(.get(1))
        #expect(server.head(0, "HTTP/1.1 200 OK\r\n\r\n"))
        for _ in 0..<500 {
            server.body(0, 1000)
            for frame in server.send() where frame.type == 0 {
                let count = UInt32(frame.payload.count)
                server.receive(.windowUpdate(0, count), .windowUpdate(1, count))
            }
            #expect(server.last == .taken(26))
        }
    }

    @Test func countFallsEvenly() {
        var count = AbuseCount(count: 10, perMs: 1000)
        for _ in 0..<10 { count.add() }
        #expect(!count.isOver)
        count.pass(to: 99)
        count.pass(to: 199)
        count.add()
        #expect(!count.isOver)
        count.add()
        #expect(count.isOver)
        count.pass(to: .max)
        #expect(count.isOver)
        var other = AbuseCount(count: 10, perMs: 1000)
        for _ in 0..<10 { other.add() }
        other.pass(to: .max)
        other.pass(to: 0)
        for _ in 0..<10 { other.add() }
        #expect(!other.isOver)
    }
}
