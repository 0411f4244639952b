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

    init(vmid: UInt32, counts: ContainerCounts) {
        self.vmid = vmid
        self.counts = counts
    }

    var isEmpty: Bool { idle.isEmpty && waiting.isEmpty }

    // MARK: Idle connections

    /// A connection that served before, the one used last first: it is the likeliest to be alive.
    func takeIdle(for route: IDERoute) -> UpstreamConnection? {
        while let connection = idle.popLast() {
            if connection.serves(route) { return connection }
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
        if waiting.isEmpty && ContainerCounts.take(counts.exchanges, limit: places) { return .exchange }
        guard ContainerCounts.take(counts.waiting, limit: queue) else { return .none }
        waiting.append(exchange)
        return .waiting
    }

    /// Gives a place back; the next of this loop takes it, or the other loops are told.
    func leave(_ place: Exchange.Place, _ exchange: Exchange, _ worker: Worker) {
        switch place {
        case .none: return
        case .waiting:
            waiting.removeAll { $0 === exchange }
            counts.waiting.subtract(1, ordering: .relaxed)
        case .exchange:
            counts.exchanges.subtract(1, ordering: .relaxed)
            admitWaiting()
            if counts.waiting.load(ordering: .relaxed) > 0 { worker.shared.broadcast(.placeFreed(vmid)) }
        case .tunnel: counts.tunnels.subtract(1, ordering: .relaxed)
        }
        if isEmpty { worker.dropPool(vmid) }
    }

    /// Lets those who wait in, first come first served, while there are places.
    func admitWaiting() {
        while let next = waiting.first {
            guard ContainerCounts.take(counts.exchanges, limit: next.worker.limits.upstream.perVMID) else { return }
            waiting.removeFirst()
            counts.waiting.subtract(1, ordering: .relaxed)
            next.gotPlace()
        }
    }
}
