/// Keeps a flood of one reason out of the log: the first few lines of a reason in a window pass, the rest are counted,
/// and one summary tells how many when the window has ended.
///
/// Owned by one loop and used on its thread. Reasons are small indices (an enum's raw value), so memory is bounded.
public struct RepeatSuppressor: Sendable {
    /// What one reason did not get logged.
    public struct Summary: Sendable, Equatable {
        /// The reason's index.
        public let reason: Int
        /// Lines held back.
        public let suppressed: Int
    }

    private struct Window {
        var startMs: Int64 = .min
        var passed = 0
        var suppressed = 0
        var owed = 0
    }

    private var windows: [Window]
    private let passes: Int
    private let windowMs: Int64
    private var waiting = 0

    /// For reasons `0..<reasons`: `passes` lines of each pass in `windowMs` milliseconds.
    public init(reasons: Int, passes: Int = 10, windowMs: Int64 = 10_000) {
        windows = Array(repeating: Window(), count: reasons)
        self.passes = passes
        self.windowMs = windowMs
    }

    /// Whether a line of this reason may be written now; if not, it is counted. `nowMs` is monotonic. An index out of
    /// range always passes.
    public mutating func allow(_ reason: Int, nowMs: Int64) -> Bool {
        guard windows.indices.contains(reason) else { return true }
        if windows[reason].startMs == .min || nowMs &- windows[reason].startMs >= windowMs {
            close(reason)
            windows[reason].startMs = nowMs
        }
        if windows[reason].passed < passes {
            windows[reason].passed += 1
            return true
        }
        if windows[reason].suppressed == 0, windows[reason].owed == 0 { waiting += 1 }
        windows[reason].suppressed += 1
        return false
    }

    /// A summary whose window has ended; to be asked until nil, about once a second. Nearly free when none is due.
    public mutating func nextSummary(nowMs: Int64) -> Summary? {
        if waiting == 0 { return nil }
        for reason in windows.indices {
            if windows[reason].suppressed > 0, nowMs &- windows[reason].startMs >= windowMs { close(reason) }
            if windows[reason].owed > 0 {
                let summary = Summary(reason: reason, suppressed: windows[reason].owed)
                windows[reason].owed = 0
                if windows[reason].suppressed == 0 { waiting -= 1 }
                return summary
            }
        }
        return nil
    }

    private mutating func close(_ reason: Int) {
        windows[reason].owed += windows[reason].suppressed
        windows[reason].suppressed = 0
        windows[reason].passed = 0
        windows[reason].startMs = .min
    }
}
