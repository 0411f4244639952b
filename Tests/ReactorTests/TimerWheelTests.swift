import Testing

@testable import Reactor

/// Deadlines come up never early and at most one tick (64 ms) and a turn late.
@Suite struct TimerWheelTests {
    private static let token = EventToken(slot: 3, generation: 1)

    @Test(arguments: [UInt64(0), 1, 63, 64, 65, 1000, 12_345, 100_000])
    func comesUpOnTime(afterMs: UInt64) {
        let start: UInt64 = 777_777
        var wheel = TimerWheel(nowMs: start)
        let tick = wheel.tick(for: start + afterMs)
        wheel.insert(Self.token, at: tick)
        var firedAt: UInt64?
        for now in stride(from: start, through: start + afterMs + 200, by: 7) {
            if let due = wheel.next(nowMs: now) {
                #expect(due.tokens == [Self.token])
                #expect(due.tick == tick)
                firedAt = now
                break
            }
        }
        #expect(firedAt.map { $0 >= start + afterMs } == true)
        #expect(firedAt.map { $0 <= start + afterMs + 64 + 64 + 7 } == true)
    }

    @Test func farDeadlinesStayWithinTheWheel() {
        let wheel = TimerWheel(nowMs: 0)
        #expect(wheel.tick(for: .max) == 2047)
    }

    @Test func anEmptyWheelAsksForNoWait() {
        #expect(TimerWheel(nowMs: 5).wait(nowMs: 5) == nil)
    }

    @Test func waitsUntilTheNextOccupiedTick() {
        var wheel = TimerWheel(nowMs: 6400)
        wheel.insert(Self.token, at: wheel.tick(for: 6400 + 640))
        #expect(wheel.wait(nowMs: 6400) == 704)
        #expect(wheel.wait(nowMs: 99_999) == 0)
    }

    /// A long sleep must not skip what came due meanwhile, however often the wheel went round.
    @Test func aLongSleepLosesNothing() {
        var wheel = TimerWheel(nowMs: 0)
        var tokens: [EventToken] = []
        for slot in 0..<100 {
            let token = EventToken(slot: slot, generation: 0)
            tokens.append(token)
            wheel.insert(token, at: wheel.tick(for: UInt64(slot) * 900))
        }
        var seen: [EventToken] = []
        while let due = wheel.next(nowMs: 10_000_000) { seen += due.tokens }
        #expect(seen == tokens)
        #expect(wheel.wait(nowMs: 10_000_000) == nil)
    }
}
