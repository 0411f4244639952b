import Reactor
import Routing
import Synchronization
import Testing
import Wire

@testable import Gateway

/// A container's places, counted over all loops: each is given back once, and none is lost.
@Suite struct ContainerLedgerTests {
    private func takes(_ counts: ContainerCounts, _ limit: Int) -> Bool {
        ContainerCounts.take(counts.exchanges, limit: limit)
    }

    @Test func placesAreLimited() {
        let counts = ContainerCounts()
        #expect(
            (0..<5).map { _ in takes(counts, 3) } == [true, true, true, false, false])
        #expect(counts.exchanges.load(ordering: .relaxed) == 3)
        ContainerCounts.giveBack(counts.exchanges)
        #expect(takes(counts, 3))
        #expect(!takes(counts, 0))
        #expect(counts.exchanges.load(ordering: .relaxed) == 3)
    }

    @Test func oneCountForAllWhoAsk() {
        let ledger = ContainerLedger()
        let counts = ledger.counts(for: 7)
        #expect(ledger.counts(for: 7) === counts)
        #expect(ledger.counts(for: 8) !== counts)
    }

    @Test func whoIsAwayIsForgottenAndWhoIsBusyIsNot() {
        let ledger = ContainerLedger()
        let busy = ledger.counts(for: 1)
        _ = ContainerCounts.take(busy.streams, limit: 1)
        for vmid in 2...5000 as ClosedRange<UInt32> { _ = ledger.counts(for: vmid) }
        #expect(ledger.counts(for: 1) === busy)
    }

    private final class Takers: Sendable {
        let counts = ContainerCounts()
        let held = Atomic<Int>(0)
        let greatest = Atomic<Int>(0)
    }

    @Test func manyThreadsNeverExceedTheLimit() throws {
        let takers = Takers()
        let done = try Mailbox<Bool>()
        for _ in 0..<4 {
            try Thread.start("taker") {
                for _ in 0..<5000 where ContainerCounts.take(takers.counts.exchanges, limit: 2) {
                    let held = takers.held.add(1, ordering: .sequentiallyConsistent).newValue
                    takers.greatest.max(held, ordering: .relaxed)
                    takers.held.subtract(1, ordering: .sequentiallyConsistent)
                    ContainerCounts.giveBack(takers.counts.exchanges)
                }
                done.post(true)
            }
        }
        var finished = 0
        while finished < 4 { finished += done.wait(atMostMs: 1000).count }
        #expect((1...2).contains(takers.greatest.load(ordering: .relaxed)))
        #expect(takers.counts.isQuiet)
    }
}

@Suite struct UpstreamPoolTests {
    private let test: TestWorker
    private let route: IDERoute

    init() throws {
        test = try TestWorker()
        // Nobody listens on the discard port of a loopback address of its own.
        route = IDERoute(vmid: 1101, endpoint: Endpoint("127.77.0.1:9")!, generation: "g")
    }

    private var pool: UpstreamPool { test.worker.pool(for: route) }

    private func enter(_ pool: UpstreamPool, places: Int = 1, queue: Int = 1) throws -> (Exchange, Exchange.Place) {
        let exchange = try test.exchange()
        let place = pool.enter(exchange, places: places, queue: queue)
        return (exchange, place)
    }

    @Test func placesThenTheQueueThenNothing() throws {
        let pool = self.pool
        let got = try (0..<5).map { _ in try enter(pool, places: 2, queue: 2).1 }
        #expect(got == [.exchange, .exchange, .waiting, .waiting, .none])
        #expect(pool.counts.exchanges.load(ordering: .relaxed) == 2)
        #expect(pool.counts.waiting.load(ordering: .relaxed) == 2)
    }

    @Test func everyPlaceIsGivenBack() throws {
        let pool = self.pool
        let first = try enter(pool, places: 2, queue: 2)
        let second = try enter(pool, places: 2, queue: 2)
        let third = try enter(pool, places: 2, queue: 2)
        #expect(third.1 == .waiting)
        #expect(pool.enterStream(limit: 1))
        #expect(!pool.enterStream(limit: 1))
        pool.leave(third.1, third.0, test.worker)
        pool.leave(second.1, second.0, test.worker)
        pool.leave(.stream, first.0, test.worker)
        #expect(!pool.isEmpty)
        pool.leave(first.1, first.0, test.worker)
        #expect(pool.counts.isQuiet)
        #expect(pool.isEmpty)
        #expect(test.worker.pool(ofVMID: 1101) == nil, "nothing is kept for a container at rest")
    }

    /// An exchange under way brings its connection back to the pool it holds: that must be the one others look in.
    @Test func aPoolInUseStays() throws {
        let pool = self.pool
        let slow = try enter(pool, places: 5)
        let quick = try enter(pool, places: 5)
        pool.leave(quick.1, quick.0, test.worker)
        #expect(test.worker.pool(ofVMID: 1101) === pool)
        #expect(pool.enterStream(limit: 5))
        pool.leave(slow.1, slow.0, test.worker)
        #expect(test.worker.pool(ofVMID: 1101) === pool)
        pool.leave(.stream, slow.0, test.worker)
        #expect(test.worker.pool(ofVMID: 1101) == nil)
    }

    @Test func aRefusalLeavesNoPoolBehind() throws {
        let pool = self.pool
        let refused = try enter(pool, places: 0, queue: 0)
        #expect(refused.1 == .none)
        pool.leave(refused.1, refused.0, test.worker)
        #expect(test.worker.pool(ofVMID: 1101) == nil)
        #expect(pool.counts.isQuiet)
    }

    /// Who leaves lets the first of the queue in, which then connects.
    @Test func theQueueMovesUp() throws {
        let pool = self.pool
        let first = try enter(pool)
        let second = try enter(pool)
        #expect(second.1 == .waiting)
        second.0.route = route
        second.0.pool = pool
        second.0.place = second.1
        second.0.phase = .queued
        pool.leave(first.1, first.0, test.worker)
        #expect(second.0.place == .exchange)
        #expect(second.0.phase == .connecting)
        #expect(pool.counts.waiting.load(ordering: .relaxed) == 0)
        #expect(pool.counts.exchanges.load(ordering: .relaxed) == 1)
        second.0.releaseUpstream(reusable: false)
        #expect(pool.counts.isQuiet)
        #expect(second.0.upstream == nil && second.0.place == .none)
    }

    /// An answer that lasts counts with the tunnels, if there is room among them, and the next is let in.
    @Test func aPlaceIsGivenUpForOneAmongTheStreams() throws {
        let pool = self.pool
        let first = try enter(pool)
        let second = try enter(pool)
        second.0.route = route
        second.0.pool = pool
        second.0.place = second.1
        second.0.phase = .queued
        #expect(!pool.moveToStreams(limit: 0, test.worker))
        #expect(second.0.phase == .queued)
        #expect(pool.moveToStreams(limit: 1, test.worker))
        #expect(second.0.place == .exchange && second.0.phase == .connecting)
        #expect(pool.counts.streams.load(ordering: .relaxed) == 1)
        #expect(!pool.enterStream(limit: 1))
        second.0.releaseUpstream(reusable: false)
        pool.leave(.stream, first.0, test.worker)
        #expect(pool.counts.isQuiet && pool.isEmpty)
    }

    /// All who wait find that they may not go on: each gives its place to the next, one after the other.
    @Test func aQueueOfThoseWhoMayNotGoOnEmpties() throws {
        let pool = self.pool
        let first = try enter(pool, places: 1, queue: 64)
        let waiting = try (0..<64).map { _ in try enter(pool, places: 1, queue: 64).0 }
        for exchange in waiting {
            exchange.client.connection.phase = .open
            exchange.record.begin(test.worker)
            exchange.route = route
            exchange.vmid = 1101
            exchange.pool = pool
            exchange.place = .waiting
            exchange.phase = .queued
        }
        // A snapshot that knows no routes is in force; the loop has yet to hear of it.
        let now = test.worker.snapshot
        test.worker.shared.adopt(
            GatewaySnapshot(
                settings: now.settings, routes: .empty, verifier: now.verifier, revocations: now.revocations))
        pool.leave(first.1, first.0, test.worker)
        #expect(waiting.allSatisfy { $0.phase != .queued && $0.place == .none && $0.upstream == nil })
        #expect(pool.counts.isQuiet)
    }

    /// The place of another loop is free by the time this one has joined the queue: it is taken without being told.
    @Test func nobodyWaitsForAFreePlace() throws {
        let pool = self.pool
        // Another loop's.
        _ = ContainerCounts.take(pool.counts.exchanges, limit: 1)
        let waiting = try enter(pool)
        #expect(waiting.1 == .waiting)
        ContainerCounts.giveBack(pool.counts.exchanges)
        #expect(pool.counts.isAwaited, "so the other loop tells all")
        waiting.0.route = route
        waiting.0.pool = pool
        waiting.0.place = waiting.1
        waiting.0.phase = .queued
        test.worker.receive(.placeFreed(1101))
        #expect(waiting.0.place == .exchange)
        waiting.0.releaseUpstream(reusable: false)
    }
}

/// A connection that is over is let go: nothing holds it, its exchange or its descriptor.
@Suite struct ConnectionLifetimeTests {
    @Test func aClosedConnectionIsFreedAtTheEndOfTheTurn() throws {
        let test = try TestWorker()
        weak var exchange: Exchange?
        weak var client: Downstream?
        do {
            let made = try test.exchange()
            exchange = made
            client = made.client.connection
            #expect(test.worker.shared.connections.load(ordering: .relaxed) == 1)
            made.client.close(nil)
            made.client.close(nil)
        }
        #expect(test.worker.shared.connections.load(ordering: .relaxed) == 0)
        try test.worker.loop.turn(waitAtMostMs: 0)
        #expect(client == nil)
        #expect(exchange == nil)
    }

    @Test func anUpstreamConnectionThatFailedIsFreedToo() throws {
        let test = try TestWorker()
        weak var upstream: UpstreamConnection?
        do {
            let exchange = try test.exchange()
            exchange.client.connection.phase = .open
            exchange.record.begin(test.worker)
            exchange.route = IDERoute(vmid: 1, endpoint: Endpoint("127.77.0.1:9")!, generation: "g")
            exchange.vmid = 1
            exchange.forward()
            upstream = exchange.upstream
            #expect(upstream != nil)
            for _ in 0..<50 where exchange.upstream != nil { try test.worker.loop.turn(waitAtMostMs: 100) }
            #expect(exchange.upstream == nil)
            #expect(exchange.place == .none && exchange.phase == .idle)
        }
        try test.worker.loop.turn(waitAtMostMs: 0)
        #expect(upstream == nil)
        #expect(test.worker.pool(ofVMID: 1) == nil)
    }
}
