import Testing

@testable import Reactor

@Suite struct EventLoopTests {
    private let loop: EventLoop

    init() throws { loop = try EventLoop() }

    /// A registered end of a pair whose first report, that it is writable, was delivered already.
    private func recorder() throws -> (Recorder, End) {
        let (near, far) = joinedSockets()
        let recorder = Recorder(near)
        try loop.register(recorder, recorder.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(recorder.seen == .writable)
        recorder.log = []
        recorder.seen = []
        return (recorder, far)
    }

    @Test func reportsEachChangeOnce() throws {
        let (source, far) = try recorder()
        _ = send("a", to: far.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(source.seen.contains(.readable))
        #expect(source.log == ["ready"])
        try loop.turn(waitAtMostMs: 0)
        #expect(source.log == ["ready"], "edge-triggered: unread bytes are not told twice")
        _ = send("b", to: far.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(source.log == ["ready", "ready"])
    }

    @Test func tellsThePeersEnd() throws {
        let (source, far) = try recorder()
        Socket.shutdownWriting(far.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(source.seen.contains(.peerClosed))
        #expect(!source.seen.contains(.hangup))
    }

    @Test func tellsThatWritingMayGoOn() throws {
        let (source, far) = try recorder()
        let block = [UInt8](repeating: 7, count: 1 << 16)
        while case .moved = Socket.send(block.span, to: source.descriptor) {}
        try loop.turn(waitAtMostMs: 0)
        #expect(!source.seen.contains(.writable))
        while case .moved(let count) = receive(1 << 16, from: far.descriptor).result, count > 0 {}
        try loop.turn(waitAtMostMs: 0)
        #expect(source.seen.contains(.writable))
    }

    /// Two events of one batch: the first closes the second's source, and a newcomer gets its slot. The newcomer must
    /// not be told what was meant for the old one.
    @Test func aStaleEventNeverReachesTheSlotsNextOwner() throws {
        let (first, firstFar) = try recorder()
        let (second, secondFar) = try recorder()
        let (newNear, newFar) = joinedSockets()
        let newcomer = Recorder(newNear)
        let loop = self.loop
        var closed: Recorder?
        let swap: (Recorder, Recorder) -> Void = { told, other in
            guard closed == nil else { return }
            closed = other
            loop.deregister(other, other.descriptor)
            do { try loop.register(newcomer, newcomer.descriptor) } catch { Issue.record(error) }
            #expect(newcomer.token.slot != told.token.slot)
        }
        first.onReady = { swap($0, second) }
        second.onReady = { swap($0, first) }
        let oldSlots = [first.token.slot, second.token.slot]
        _ = send("x", to: firstFar.descriptor)
        _ = send("x", to: secondFar.descriptor)
        try loop.turn(waitAtMostMs: 0)

        let victim = try #require(closed)
        #expect(first.log.count + second.log.count == 1)
        #expect(oldSlots.contains(newcomer.token.slot))
        #expect(newcomer.log.isEmpty)
        #expect(!victim.isRegistered)
        try loop.turn(waitAtMostMs: 0)
        #expect(newcomer.seen == .writable)
        _ = send("x", to: newFar.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(newcomer.seen.contains(.readable))
    }

    @Test func deregisteringTwiceIsHarmless() throws {
        let (source, far) = try recorder()
        loop.deregister(source, source.descriptor)
        loop.deregister(source, source.descriptor)
        _ = send("x", to: far.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(source.log.isEmpty)
        // Its slot is free once, not twice.
        let (a, b) = (try recorder(), try recorder())
        #expect(a.0.token.slot != b.0.token.slot)
    }

    // MARK: Deadlines

    /// Turns until `done` or for so long.
    private func turn(forMs ms: UInt64, until done: () -> Bool = { false }) throws {
        let end = Clock.monotonicMs() + ms
        while !done(), Clock.monotonicMs() < end { try loop.turn(waitAtMostMs: 20) }
    }

    @Test func aDeadlineComesOnceAndNotEarly() throws {
        let (source, far) = try recorder()
        let start = Clock.monotonicMs()
        loop.setDeadline(loop.nowMs + 100, for: source)
        try turn(forMs: 3000) { !source.log.isEmpty }
        #expect(source.log == ["expired"])
        #expect(Clock.monotonicMs() >= start + 100)
        try turn(forMs: 200)
        #expect(source.log == ["expired"])
        withExtendedLifetime(far) {}
    }

    @Test func theLastSettingCounts() throws {
        let (later, laterFar) = try recorder()
        let (sooner, soonerFar) = try recorder()
        let (never, neverFar) = try recorder()
        let start = loop.nowMs
        loop.setDeadline(start + 50, for: later)
        loop.setDeadline(start + 400, for: later)
        loop.setDeadline(start + 60_000, for: sooner)
        loop.setDeadline(start + 50, for: sooner)
        loop.setDeadline(start + 50, for: never)
        loop.setDeadline(.max, for: never)
        var order: [String] = []
        later.onExpired = { _ in order.append("later") }
        sooner.onExpired = { _ in order.append("sooner") }
        try turn(forMs: 3000) { order.count == 2 }
        #expect(order == ["sooner", "later"])
        #expect(Clock.monotonicMs() >= start + 400)
        #expect(never.log.isEmpty)
        withExtendedLifetime((laterFar, soonerFar, neverFar)) {}
    }

    @Test func aDeadlineDiesWithTheRegistration() throws {
        let (source, far) = try recorder()
        loop.setDeadline(loop.nowMs + 30, for: source)
        loop.deregister(source, source.descriptor)
        let (next, nextFar) = try recorder()
        #expect(next.token.slot == 0)
        try turn(forMs: 250)
        #expect(source.log.isEmpty)
        #expect(next.log.isEmpty, "the slot's next owner does not inherit it")
        withExtendedLifetime((far, nextFar)) {}
    }

    @Test func aDeadlineMaySetTheNext() throws {
        let (source, far) = try recorder()
        let loop = self.loop
        var times: [UInt64] = []
        source.onExpired = {
            times.append(loop.nowMs)
            if times.count < 3 { loop.setDeadline(loop.nowMs + 70, for: $0) }
        }
        loop.setDeadline(loop.nowMs, for: source)
        try turn(forMs: 3000) { times.count == 3 }
        #expect(times.count == 3)
        #expect(zip(times, times.dropFirst()).allSatisfy { $1 >= $0 + 70 })
        withExtendedLifetime(far) {}
    }

    @Test func aDeadlineWakesALoopThatSleeps() throws {
        let (source, far) = try recorder()
        loop.setDeadline(loop.nowMs + 100, for: source)
        let start = Clock.monotonicMs()
        while source.log.isEmpty, Clock.monotonicMs() < start + 5000 { try loop.turn(waitAtMostMs: 60_000) }
        #expect(source.log == ["expired"])
        withExtendedLifetime(far) {}
    }

    // MARK: Running again

    @Test func runAgainComesInTheNextTurnBehindItsEvents() throws {
        let (source, far) = try recorder()
        let loop = self.loop
        source.onReady = { loop.runAgain($0) }
        source.onResumed = {
            if $0.log.filter({ $0 == "resumed" }).count < 2 {
                loop.runAgain($0)
                loop.runAgain($0)
            }
        }
        loop.runAgain(source)
        loop.runAgain(source)
        _ = send("x", to: far.descriptor)
        try loop.turn(waitAtMostMs: 60_000)
        #expect(source.log == ["ready", "resumed"])
        try loop.turn(waitAtMostMs: 60_000)
        #expect(source.log == ["ready", "resumed", "resumed"], "asked for twice, and comes once")
        try loop.turn(waitAtMostMs: 0)
        #expect(source.log.count == 3)
    }

    @Test func aClosedSourceIsNotResumed() throws {
        let (source, far) = try recorder()
        loop.runAgain(source)
        loop.deregister(source, source.descriptor)
        try loop.turn(waitAtMostMs: 0)
        #expect(source.log.isEmpty)
        withExtendedLifetime(far) {}
    }

    @Test func theEndOfATurnIsTold() throws {
        var turns = 0
        loop.turnEnded = { turns += 1 }
        try loop.turn(waitAtMostMs: 0)
        try loop.turn(waitAtMostMs: 0)
        #expect(turns == 2)
    }

    @Test func sourcesAreLetGo() throws {
        weak var seen: Recorder?
        do {
            let (source, _) = try recorder()
            seen = source
            loop.setDeadline(loop.nowMs + 60_000, for: source)
            loop.runAgain(source)
            loop.deregister(source, source.descriptor)
        }
        try loop.turn(waitAtMostMs: 0)
        #expect(seen == nil)
    }
}
