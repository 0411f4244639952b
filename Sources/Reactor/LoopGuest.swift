/// What lives on a loop beside its owner: it is told of the end of each turn, and says when the loop may stop for all it
/// cares. Used on the loop's thread alone.
public protocol LoopGuest: AnyObject {
    /// Whether it was told to end and nothing of it is left.
    var isFinished: Bool { get }
    /// Ends all that is left of it, now.
    func stopNow()
    /// How long its connections have been idle that may be closed for a newcomer's sake, as `IdleOrder` has it.
    func idleConnections() -> [UInt64]
    /// Closes such connections, the oldest first: `forMemory`, or for their places; how many.
    func closeIdle(notAfter: UInt64, atMost: Int, forMemory: Bool) -> Int
    /// There is a place again for those who wait to be accepted.
    func roomFreed()
    /// A turn is over: the place for what is done once for many events.
    func turnEnded()
}

/// In which order connections make room for newcomers: those with nothing to do, the oldest first, and then those that
/// have had a second to say what they want and have not.
public enum IdleOrder {
    /// How long somebody may take to say what it wants before others come first.
    public static let patienceMs: UInt64 = 1000
    /// A connection that waits for its next request since then.
    public static func idle(sinceMs: UInt64) -> UInt64 { sinceMs }
    /// One that has begun to speak and has not said anything whole, `nil` while it has time.
    public static func unfinished(sinceMs: UInt64, nowMs: UInt64) -> UInt64? {
        nowMs >= sinceMs + patienceMs ? sinceMs | 1 << 62 : nil
    }
}
