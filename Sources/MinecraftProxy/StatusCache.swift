/// The status answers of one route by protocol number: who asks a backend, who waits for that, and what everybody else
/// is told. A value under the lock of its route; the answers themselves are shared, not copied.
struct StatusCache: Sendable {
    /// How long an answer is fresh.
    static let freshMs: UInt64 = 5000
    /// Protocol numbers remembered.
    static let protocols = 16
    /// Backend dials a second.
    static let dialsPerSecond = 2

    /// An answer of a backend.
    struct Answer: Sendable {
        var json: [UInt8]
        var atMs: UInt64
    }

    /// What to do for a client.
    enum Decision: Sendable {
        /// An answer for this very protocol.
        case fresh(Answer)
        /// Ask a backend, and tell how that went.
        case fetch
        /// Somebody asks already; come back when that is over.
        case wait
        /// The newest answer, with the client's own protocol number in it.
        case other(Answer)
        /// No backend answers: an old answer with the offline text, or none.
        case stale(Answer?)
    }

    private struct Entry: Sendable {
        var answer: Answer?
        /// Since when somebody asks for it.
        var fetchingMs: UInt64?
    }

    private var entries: [Int32: Entry] = [:]
    private var newest: Answer?
    private var dialWindowMs: UInt64 = 0
    private var dials = 0
    /// The last fetch failed then, and none succeeded since.
    private var failedMs: UInt64?
    /// Loops on which somebody waits.
    private var waitingLoops: Set<Int> = []

    /// Decides for a client on `loop`. `canDial` is whether a backend is thought to answer.
    mutating func look(_ version: Int32, loop: Int, canDial: Bool, timeoutMs: UInt64, nowMs: UInt64) -> Decision {
        if let answer = entries[version]?.answer, elapsed(answer.atMs, nowMs) < Self.freshMs { return .fresh(answer) }
        if !canDial { return .stale(newest) }
        if let since = entries[version]?.fetchingMs, elapsed(since, nowMs) < timeoutMs * 2 {
            waitingLoops.insert(loop)
            return .wait
        }
        let isKnown = entries[version] != nil || makePlace(nowMs: nowMs)
        if isKnown, takeDial(nowMs: nowMs) {
            entries[version, default: Entry()].fetchingMs = nowMs
            return .fetch
        }
        if let newest, elapsed(newest.atMs, nowMs) < 2 * Self.freshMs, failedMs == nil { return .other(newest) }
        if failedMs != nil { return .stale(newest) }
        if entries.values.contains(where: { $0.fetchingMs != nil }) {
            waitingLoops.insert(loop)
            return .wait
        }
        return newest.map { .other($0) } ?? .stale(nil)
    }

    /// Decides for a client that any answer will do for.
    mutating func lookForAny(_ version: Int32, loop: Int, timeoutMs: UInt64, nowMs: UInt64) -> Decision {
        if let newest, elapsed(newest.atMs, nowMs) < Self.freshMs { return .other(newest) }
        return look(version, loop: loop, canDial: true, timeoutMs: timeoutMs, nowMs: nowMs)
    }

    /// A fetch for a protocol ended; which loops have somebody to be told.
    mutating func finished(_ version: Int32, json: [UInt8]?, nowMs: UInt64) -> Set<Int> {
        entries[version]?.fetchingMs = nil
        if let json {
            let answer = Answer(json: json, atMs: nowMs)
            entries[version, default: Entry()].answer = answer
            newest = answer
            failedMs = nil
        } else {
            failedMs = nowMs
        }
        defer { waitingLoops = [] }
        return waitingLoops
    }

    /// The answer that a health check got: something to show when nobody asked before the backend went.
    mutating func note(_ json: [UInt8], nowMs: UInt64) {
        if let newest, elapsed(newest.atMs, nowMs) < Self.freshMs { return }
        newest = Answer(json: json, atMs: nowMs)
        failedMs = nil
    }

    /// The newest answer, unless it is old, or no longer fresh and a backend was asked since in vain.
    func current(nowMs: UInt64) -> Answer? {
        let validMs = failedMs == nil ? 2 * Self.freshMs : Self.freshMs
        return newest.flatMap { elapsed($0.atMs, nowMs) < validMs ? $0 : nil }
    }

    /// What there is for somebody whose fetch failed, or took too long.
    var fallback: Decision { .stale(newest) }

    /// Forgets the oldest protocol when all places are taken by older answers than fresh ones.
    private mutating func makePlace(nowMs: UInt64) -> Bool {
        if entries.count < Self.protocols { return true }
        let old = entries.filter {
            $0.value.fetchingMs == nil && elapsed($0.value.answer?.atMs ?? 0, nowMs) >= Self.freshMs
        }
        guard let oldest = old.min(by: { ($0.value.answer?.atMs ?? 0) < ($1.value.answer?.atMs ?? 0) }) else {
            return false
        }
        entries[oldest.key] = nil
        return true
    }

    /// Whether one more backend may be dialled.
    mutating func takeDial(nowMs: UInt64) -> Bool {
        if elapsed(dialWindowMs, nowMs) >= 1000 {
            dialWindowMs = nowMs
            dials = 0
        }
        guard dials < Self.dialsPerSecond else { return false }
        dials += 1
        return true
    }
}

/// Milliseconds from one moment to another; loops read their clocks at different moments, so it may not be negative.
func elapsed(_ start: UInt64, _ end: UInt64) -> UInt64 { end > start ? end - start : 0 }
