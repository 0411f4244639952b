import Testing

@testable import Limits

@Suite struct ReliefTests {
    private let budget = MemoryBudget(bytes: 1000)

    private func orders(_ used: Int, untilMs: UInt64) -> [MemoryShed?] {
        var relief = MemoryRelief()
        return stride(from: 0, through: untilMs, by: 500).map { relief.next(used: used, budget: budget, nowMs: $0) }
    }

    @Test func nothingIsOrderedWhileThereIsEnough() {
        #expect(orders(799, untilMs: 60_000).allSatisfy { $0 == nil })
    }

    @Test func bodiesThatWaitAreHelpedInTheEnd() {
        let rounds = orders(850, untilMs: 12_000)
        #expect(rounds[19]?.bytes == 0 && rounds.allSatisfy { $0?.ofAnyKind == false && $0?.closesIdle == false })
        #expect(rounds[20]?.bytes == 70)
    }

    @Test func idleGoesFirstThenWhatStallsThenAnything() {
        let rounds = orders(920, untilMs: 6000)
        #expect(rounds.allSatisfy { $0?.closesIdle == true })
        #expect(rounds[1]?.bytes == 0)
        #expect(rounds[2]?.bytes == 40 && rounds[2]?.ofAnyKind == false)
        #expect(rounds[10]?.ofAnyKind == true)
    }

    @Test func nearTheEndAnythingGoesAtOnce() {
        #expect(orders(960, untilMs: 0) == [MemoryShed(bytes: 80, ofAnyKind: true, closesIdle: true)])
    }

    @Test func anEndedShortageBeginsAnew() {
        var relief = MemoryRelief()
        _ = relief.next(used: 920, budget: budget, nowMs: 0)
        let eased = relief.next(used: 100, budget: budget, nowMs: 2000)
        let again = relief.next(used: 920, budget: budget, nowMs: 3000)
        #expect(eased == nil && again?.bytes == 0)
    }

    private func candidates(_ list: [(Int, Bool, Int)]) -> [MemoryShed.Candidate] {
        list.map { MemoryShed.Candidate(held: $0.0 << 12, isStalled: $0.1, heldBySource: $0.2) }
    }

    @Test func theLargestThatStallsGoesFirst() {
        let all = candidates([(10, true, 0), (40, false, 0), (30, true, 0), (20, true, 0)])
        let some = MemoryShed(bytes: 46 << 12, ofAnyKind: false, closesIdle: true)
        #expect(some.victims(among: all, loops: 1) == [2, 3])
        #expect(MemoryShed(bytes: 1, ofAnyKind: true, closesIdle: true).victims(among: all, loops: 1) == [1])
        #expect(MemoryShed(bytes: 0, ofAnyKind: true, closesIdle: true).victims(among: all, loops: 1) == [])
        // Another loop has far larger ones.
        var orders = some
        orders.largest = 80 << 12
        #expect(orders.victims(among: all, loops: 2) == [])
    }

    @Test func ofEqualsGoesWhoseSourceHoldsMost() {
        let all = candidates([(0, false, 5), (0, false, 900), (0, false, 7)])
        #expect(MemoryShed(bytes: 1, ofAnyKind: true, closesIdle: true).victims(among: all, loops: 1) == [1])
    }

    @Test func aTrickleIsNoProgress() {
        var sample = StallSample()
        // At last it was not looked at for long.
        let looks: [(moved: UInt64, held: Int, nowMs: UInt64)] = [
            (0, 5000, 1000), (100, 5000, 1500), (200, 5000, 2000), (100_000, 5000, 2500), (100_000, 0, 4000),
            (100_000, 5000, 60_000),
        ]
        let stalls = looks.map { sample.look(moved: $0.moved, held: $0.held, nowMs: $0.nowMs) }
        #expect(stalls == [false, false, true, false, false, false])
    }
}
