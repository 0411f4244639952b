import Testing

@testable import Reactor

@Suite struct AcceptorTests {
    /// Admits at most so many.
    private final class Counting: Acceptor {
        var places = 0
        var admitted = 0
        var asked = 0

        override func room() -> Room {
            asked += 1
            if places > 0 { return .free }
            return hasArrivals ? .none : .notNeeded
        }

        override func admit(_ accepted: consuming AcceptedSocket) {
            places -= 1
            admitted += 1
        }
    }

    private static let loopback = (high: UInt64(0), low: UInt64(0xffff_7f00_0001))

    private static func acceptor(on loop: EventLoop) throws -> Counting {
        try Counting(Socket.listen(high: loopback.high, low: loopback.low, port: 0), on: loop)
    }

    private static func visit(_ port: UInt16) throws -> End {
        End(try Socket.connect(high: loopback.high, low: loopback.low, port: port))
    }

    @Test(.timeLimit(.minutes(1)))
    func whoFoundNoPlaceIsAdmittedLater() throws {
        let loop = try EventLoop()
        let acceptor = try Self.acceptor(on: loop)
        let visitors = try (0..<2).map { _ in try Self.visit(acceptor.port) }
        while acceptor.asked == 0 { try loop.turn(waitAtMostMs: 1000) }
        #expect(acceptor.admitted == 0)
        // No new arrival wakes it: it looks again by itself.
        acceptor.places = 10
        while acceptor.admitted < visitors.count { try loop.turn(waitAtMostMs: 1000) }
        #expect(acceptor.places == 8)
    }

    @Test(.timeLimit(.minutes(1)))
    func aFullTurnGoesOnInTheNext() throws {
        let loop = try EventLoop()
        let acceptor = try Self.acceptor(on: loop)
        acceptor.places = 1000
        let visitors = try (0..<70).map { _ in try Self.visit(acceptor.port) }
        while acceptor.admitted < visitors.count { try loop.turn(waitAtMostMs: 1000) }
        #expect(acceptor.places == 930)
    }

    @Test func aClosedOneAdmitsNobody() throws {
        let loop = try EventLoop()
        let acceptor = try Self.acceptor(on: loop)
        acceptor.places = 1
        let visitor = try Self.visit(acceptor.port)
        acceptor.close()
        try loop.turn(waitAtMostMs: 0)
        #expect(acceptor.asked == 0)
        withExtendedLifetime(visitor) {}
    }

    /// Loops that accept on one socket: whoever comes is admitted once, by whichever looks.
    @Test(.timeLimit(.minutes(1)))
    func loopsShareASocket() throws {
        let listener = try Socket.listen(high: Self.loopback.high, low: Self.loopback.low, port: 0)
        let shared = try #require(ListeningSocket(adopting: listener.raw))
        let loops = try (0..<3).map { _ in try EventLoop() }
        let acceptors = try loops.map { try Counting(shared.duplicate(), isShared: true, on: $0) }
        for acceptor in acceptors { acceptor.places = 100 }
        var visitors: [End] = []
        for round in 0..<30 {
            visitors.append(try Self.visit(shared.port))
            while acceptors.reduce(0, { $0 + $1.admitted }) < visitors.count {
                for index in 0..<3 { try loops[(round + index) % 3].turn(waitAtMostMs: 0) }
            }
        }
        #expect(acceptors.reduce(0) { $0 + $1.admitted } == 30)
        #expect(acceptors.allSatisfy { $0.admitted == 10 })
    }

    @Test func whatDoesNotListenIsNotTakenOver() throws {
        let loop = try EventLoop()
        let acceptor = try Self.acceptor(on: loop)
        let visitor = try Self.visit(acceptor.port)
        #expect(ListeningSocket(adopting: visitor.descriptor.raw) == nil)
        #expect(ListeningSocket(adopting: 0) == nil && ListeningSocket(adopting: 12_345) == nil)
    }
}
