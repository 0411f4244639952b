import Routing
import Synchronization
import Wire

/// One backend of one route as all loops see it, carried from snapshot to snapshot, so that a reload forgets neither
/// its players nor its health. Atomic inside.
final class Backend: Sendable {
    let route: String
    let endpoint: Endpoint
    /// Players sent there and not gone.
    private let openCount = Atomic<Int>(0)
    private let isUpFlag = Atomic<Bool>(true)
    private let isDrainingFlag = Atomic<Bool>(false)
    /// When it came back, in monotonic milliseconds; 0 when it never was away.
    private let backSinceMs = Atomic<UInt64>(0)

    init(route: String, endpoint: Endpoint) {
        self.route = route
        self.endpoint = endpoint
    }

    var open: Int { openCount.load(ordering: .relaxed) }
    /// In rotation as far as health goes. A new backend is, until it is found not to be.
    var isUp: Bool { isUpFlag.load(ordering: .relaxed) }

    /// Takes no new players by the operator's will; keeps those it has.
    var isDraining: Bool {
        get { isDrainingFlag.load(ordering: .relaxed) }
        set { isDrainingFlag.store(newValue, ordering: .relaxed) }
    }

    func enter() { openCount.add(1, ordering: .relaxed) }
    func leave() { openCount.subtract(1, ordering: .relaxed) }

    func setUp(_ up: Bool, nowMs: UInt64) {
        if up && !isUp { backSinceMs.store(max(nowMs, 1), ordering: .relaxed) }
        isUpFlag.store(up, ordering: .relaxed)
    }

    /// The share of its weight it gets: it grows from a tenth to all over `slowStartMs` after it came back.
    func share(nowMs: UInt64, slowStartMs: Int) -> Double {
        let since = backSinceMs.load(ordering: .relaxed)
        guard since > 0, slowStartMs > 0, nowMs >= since else { return 1 }
        return min(1, max(0.1, Double(nowMs - since) / Double(slowStartMs)))
    }
}
