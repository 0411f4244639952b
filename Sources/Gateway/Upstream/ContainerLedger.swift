import Synchronization

/// How much one container has to do, counted over all loops.
final class ContainerCounts: Sendable {
    /// Exchanges that the container has yet to answer, or has just begun to.
    let exchanges = Atomic<Int>(0)
    /// Requests waiting for a place.
    let waiting = Atomic<Int>(0)
    /// Open tunnels, and answers that last.
    let streams = Atomic<Int>(0)

    /// Takes one place of `limit`, if there is one.
    ///
    /// Ordered with `giveBack` and `isAwaited`: of one who frees a place and looks for waiters, and one who waits and
    /// looks for a place, at least one sees the other.
    static func take(_ count: borrowing Atomic<Int>, limit: Int) -> Bool {
        if count.add(1, ordering: .sequentiallyConsistent).newValue <= limit { return true }
        giveBack(count)
        return false
    }

    /// Gives one place back.
    static func giveBack(_ count: borrowing Atomic<Int>) { count.subtract(1, ordering: .sequentiallyConsistent) }

    /// Whether somebody waits, on whichever loop.
    var isAwaited: Bool { waiting.load(ordering: .sequentiallyConsistent) > 0 }

    var isQuiet: Bool {
        exchanges.load(ordering: .relaxed) == 0 && waiting.load(ordering: .relaxed) == 0
            && streams.load(ordering: .relaxed) == 0
    }
}

/// The counts of every container in use. A loop looks one up once, when it makes a pool for the vmid.
final class ContainerLedger: Sendable {
    private let counts = Mutex<[UInt32: ContainerCounts]>([:])

    func counts(for vmid: UInt32) -> ContainerCounts {
        counts.withLock { counts in
            if let known = counts[vmid] { return known }
            // Vmids come from the routes, so this is bounded by them; those at rest are let go now and then.
            if counts.count >= 4096, counts.count.nonzeroBitCount == 1 {
                for vmid in Array(counts.keys) {
                    // One that a pool still holds stays, or the limit would be counted twice.
                    guard var known = counts.removeValue(forKey: vmid) else { continue }
                    if !known.isQuiet || !isKnownUniquelyReferenced(&known) { counts[vmid] = known }
                }
            }
            let fresh = ContainerCounts()
            counts[vmid] = fresh
            return fresh
        }
    }
}
