import Limits
import Routing
import Synchronization

/// One loop's connections to one container, and the requests that wait for a place there. The places are counted over
/// all loops; a connection belongs to one vmid and generation, never to a neighbour.
final class UpstreamPool {
    let vmid: UInt32
    let counts: ContainerCounts
    private var idle: [UpstreamConnection] = []
    private var waiting: [Exchange] = []
    /// Exchanges and tunnels that will come back: they hold this pool, so it must stay the one of its vmid.
    private var users = 0
    private var isAdmitting = false

    init(vmid: UInt32, counts: ContainerCounts) {
        self.vmid = vmid
        self.counts = counts
    }

    /// Whether nothing would be lost with it.
    var isEmpty: Bool { idle.isEmpty && waiting.isEmpty && users == 0 }

    // MARK: Idle connections

    /// A connection that served before, the one used last first: it is the likeliest to be alive.
    func takeIdle(for route: IDERoute, nowMs: UInt64) -> UpstreamConnection? {
        while let connection = idle.popLast() {
            if connection.serves(route) && connection.usableUntilMs > nowMs { return connection }
            connection.close()
        }
        return nil
    }

    func keep(_ connection: UpstreamConnection) { idle.append(connection) }

    func forget(_ connection: UpstreamConnection) { idle.removeAll { $0 === connection } }

    /// Closes the idle connections that `isStale` says are.
    func closeIdle(where isStale: (UpstreamConnection) -> Bool) {
        let stale = idle.filter(isStale)
        idle.removeAll { connection in stale.contains { $0 === connection } }
        for connection in stale { connection.close() }
    }

    // MARK: Places

    /// Takes a place for `exchange`, or a place in the queue; what it got.
    func enter(_ exchange: Exchange, places: Int, queue: Int) -> Exchange.Place {
        let isFirst = waiting.isEmpty
        if isFirst && ContainerCounts.take(counts.exchanges, limit: places) {
            users += 1
            return .exchange
        }
        guard ContainerCounts.take(counts.waiting, limit: queue) else { return .none }
        users += 1
        // A place that another loop freed just before it could see us waiting is told to nobody.
        if isFirst && ContainerCounts.take(counts.exchanges, limit: places) {
            ContainerCounts.giveBack(counts.waiting)
            return .exchange
        }
        waiting.append(exchange)
        return .waiting
    }

    /// Takes a tunnel's place, if there is one.
    func enterStream(limit: Int) -> Bool {
        guard ContainerCounts.take(counts.streams, limit: limit) else { return false }
        users += 1
        return true
    }

    /// Exchanges a place for one among the tunnels, if there is one, and lets the next in.
    func moveToStreams(limit: Int, _ worker: Worker) -> Bool {
        guard ContainerCounts.take(counts.streams, limit: limit) else { return false }
        freeExchangePlace(worker)
        return true
    }

    /// Gives a place back; the next of this loop takes it, or the other loops are told.
    func leave(_ place: Exchange.Place, _ exchange: Exchange, _ worker: Worker) {
        if place != .none { users -= 1 }
        switch place {
        case .none: break
        case .waiting:
            waiting.removeAll { $0 === exchange }
            ContainerCounts.giveBack(counts.waiting)
        case .exchange: freeExchangePlace(worker)
        case .stream: ContainerCounts.giveBack(counts.streams)
        }
        if isEmpty { worker.dropPool(vmid) }
    }

    private func freeExchangePlace(_ worker: Worker) {
        ContainerCounts.giveBack(counts.exchanges)
        admitWaiting()
        if counts.isAwaited { worker.shared.broadcast(.placeFreed(vmid)) }
    }

    /// Lets those who wait in, first come first served, while there are places.
    func admitWaiting() {
        // A request that may not go on gives its place back at once. The loop below sees that; a second one inside it
        // would go as deep as the queue is long.
        if isAdmitting { return }
        isAdmitting = true
        defer { isAdmitting = false }
        while let next = waiting.first {
            guard ContainerCounts.take(counts.exchanges, limit: next.worker.limits.upstream.perVMID) else { return }
            waiting.removeFirst()
            ContainerCounts.giveBack(counts.waiting)
            next.gotPlace()
        }
    }
}
