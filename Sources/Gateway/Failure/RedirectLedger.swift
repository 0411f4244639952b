import Synchronization
import Wire

/// Who was sent to the login page of late. A browser that blocks cookies would go round for ever: the third redirect
/// of one source and vmid within 10 s is answered with a page instead.
final class RedirectLedger: Sendable {
    private struct Key: Hashable {
        let source: IPAddress
        let vmid: UInt32
    }

    private static let capacity = 4096
    private static let windowMs: UInt64 = 10_000
    private let recent = Mutex<[Key: [UInt64]]>([:])

    /// Notes one redirect; whether it may be made.
    func allows(_ source: IPAddress, vmid: UInt32, nowMs: UInt64) -> Bool {
        recent.withLock { recent in
            if recent.count >= Self.capacity {
                recent = recent.filter { $0.value.contains { nowMs &- $0 < Self.windowMs } }
                // All of them fresh: a flood, which the other limits deal with. Forget rather than grow.
                if recent.count >= Self.capacity { recent.removeAll() }
            }
            let key = Key(source: source, vmid: vmid)
            let fresh = recent[key, default: []].filter { nowMs &- $0 < Self.windowMs }
            if fresh.count >= 3 {
                recent[key] = fresh
                return false
            }
            recent[key] = fresh + [nowMs]
            return true
        }
    }
}
