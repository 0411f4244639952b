/// Counts what an honest client does seldom: a level that falls by `count` every `perMs`, and may not pass `count`.
struct AbuseCount {
    /// In units of 1/perMs of an offence, so that it falls by whole numbers.
    private var level = 0
    private var lastMs: UInt64 = 0
    private let cost: Int
    private let fall: Int
    private let top: Int

    init(count: Int, perMs: Int) {
        cost = perMs
        fall = count
        top = count &* perMs
    }

    /// Whether there were too many.
    var isOver: Bool { level > top }

    mutating func add() {
        if level <= top { level &+= cost }
    }

    /// Lets the level fall by what the time since the last call is worth.
    mutating func pass(to nowMs: UInt64) {
        if nowMs <= lastMs { return }
        let (worth, overflow) = Int(clamping: nowMs &- lastMs).multipliedReportingOverflow(by: fall)
        lastMs = nowMs
        // Once over it stays over: the connection is being closed.
        if !isOver { level = overflow ? 0 : max(0, level &- worth) }
    }
}
