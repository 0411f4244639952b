/// What the loops are to give up in one round of memory relief. A value that the supervisor sends them.
public struct MemoryShed: Sendable, Equatable {
    /// About how many bytes the process must win; 0 only looks who stalls.
    public var bytes: Int
    /// Also connections that do not stall may go.
    public var ofAnyKind: Bool
    /// Idle connections are closed.
    public var closesIdle: Bool
    /// The most bytes that a connection held in the round before, so that each loop spares what is small beside it.
    public var largest: Int

    /// One round's orders.
    public init(bytes: Int, ofAnyKind: Bool, closesIdle: Bool, largest: Int = 0) {
        self.bytes = bytes
        self.ofAnyKind = ofAnyKind
        self.closesIdle = closesIdle
        self.largest = largest
    }

    /// What a connection costs beside the bytes it holds, roughly.
    public static let connectionBytes = 16 << 10

    /// A connection that may have to go.
    public struct Candidate {
        /// Bytes that wait in it.
        public var held: Int
        /// Whether they have waited for a while.
        public var isStalled: Bool
        /// What all connections of its source hold, their own memory included.
        public var heldBySource: Int

        /// A candidate.
        public init(held: Int, isStalled: Bool, heldBySource: Int = 0) {
            self.held = held
            self.isStalled = isStalled
            self.heldBySource = heldBySource
        }
    }

    /// Which of a loop's candidates go, the first first: the largest, of equals those whose source holds most, until the
    /// loop's share of `bytes` is won.
    public func victims(among candidates: [Candidate], loops: Int) -> [Int] {
        guard bytes > 0 else { return [] }
        // In steps of a page, so that the last bytes of a buffer do not decide.
        func rank(_ index: Int) -> (Int, Int) { (candidates[index].held >> 12, candidates[index].heldBySource) }
        let eligible = candidates.indices
            .filter { ofAnyKind || candidates[$0].isStalled && candidates[$0].held >= largest / 2 }
            .sorted { rank($0) > rank($1) }
        var left = bytes / max(1, loops) + 1
        return Array(
            eligible.prefix { index in
                defer { left -= candidates[index].held + Self.connectionBytes }
                return left > 0
            })
    }
}

/// Decides, while memory is short, what has to go and when, so that no holder of memory can make a shortage last.
public struct MemoryRelief: Sendable {
    /// From 90 %: how long idle connections and the clients themselves have, before what stalls is reset,
    static let stalledAfterMs: UInt64 = 1000
    /// and how long that has, before anything is.
    static let anyAfterMs: UInt64 = 5000
    /// From 80 %: how long the bodies wait that are not read, before what stalls is reset.
    static let bodiesWaitMs: UInt64 = 10_000

    private var shortSinceMs: UInt64?
    private var closedSinceMs: UInt64?

    /// Nothing is short.
    public init() {}

    /// What to give up now; nil while memory is not short.
    public mutating func next(used: Int, budget: MemoryBudget, nowMs: UInt64) -> MemoryShed? {
        let pressure = budget.pressure(used: used)
        shortSinceMs = pressure >= .noBodies ? shortSinceMs ?? nowMs : nil
        closedSinceMs = pressure >= .noAccept ? closedSinceMs ?? nowMs : nil
        guard let shortSinceMs else { return nil }
        // Somewhat below the mark, so that the next connection does not reach it again.
        let excess = { (share: Double) in max(1, used - Int(Double(budget.bytes) * share)) }
        guard let closedSinceMs else {
            let isDue = nowMs - shortSinceMs >= Self.bodiesWaitMs
            return MemoryShed(bytes: isDue ? excess(0.78) : 0, ofAnyKind: false, closesIdle: false)
        }
        let ofAnyKind = pressure >= .shed || nowMs - closedSinceMs >= Self.anyAfterMs
        let isDue = ofAnyKind || nowMs - closedSinceMs >= Self.stalledAfterMs
        return MemoryShed(bytes: isDue ? excess(0.88) : 0, ofAnyKind: ofAnyKind, closesIdle: true)
    }
}

/// Whether a connection stalls, from looks at it while memory is short: bytes wait, and next to none are taken.
public struct StallSample: Sendable {
    /// Fewer taken between two looks are no progress: an attacker's trickle.
    static let progressBytes: UInt64 = 8 << 10
    static let stallMs: UInt64 = 1000
    /// After so long without a look all begins anew.
    static let forgottenMs: UInt64 = 3000

    private var moved: UInt64 = 0
    private var sinceMs: UInt64 = 0
    private var seenMs: UInt64 = 0

    /// Never looked at.
    public init() {}

    /// Notes how many bytes the readers have taken in all and how many wait; says whether the connection stalls.
    public mutating func look(moved: UInt64, held: Int, nowMs: UInt64) -> Bool {
        if held == 0 || seenMs == 0 || nowMs &- seenMs > Self.forgottenMs || moved &- self.moved >= Self.progressBytes {
            sinceMs = nowMs
        }
        self.moved = moved
        seenMs = nowMs
        return nowMs &- sinceMs >= Self.stallMs
    }
}
