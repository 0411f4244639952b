import Glibc
import Wire

/// What is remembered of one source, about 160 bytes: an element of a shard, changed under the shard's lock.
struct Source: Sendable {
    /// Which list of its shard a source is in.
    enum Standing: UInt8 {
        /// Has open connections: cannot be forgotten.
        case open
        /// Nothing open, but blocked: forgotten only when nothing else can be.
        case blocked
        /// Nothing open: forgotten when its place is needed, longest unused first.
        case idle
    }

    /// What one kind of listener knows of it.
    struct AtKind {
        var open: Int32 = 0
        var connects = TokenLevel()
        var score = 0.0
        var scoredAtMs: Int64 = 0
        var blockedUntilMs: Int64 = .min
    }

    let prefix: IPAddress
    let hash: UInt32
    var standing = Standing.idle
    /// The next source with the same place in the hash index.
    var chained: Int32
    var previous: Int32 = -1
    var next: Int32 = -1
    var kinds: InlineArray<2, AtKind> = .init(repeating: AtKind())
    var unauthenticated = TokenLevel()
    var foreignTokens = TokenLevel()
    var status = TokenLevel()
    var login = TokenLevel()

    init(prefix: IPAddress, hash: UInt32, chained: Int32) {
        self.prefix = prefix
        self.hash = hash
        self.chained = chained
    }

    /// Refusals that it is just being told, which are no open connections.
    var refusals: Int32 = 0

    /// Tunnels, and answers that last, which may outlive the connection's ticket.
    var streams: Int32 = 0

    var open: Int { Int(kinds[0].open) + Int(kinds[1].open) }

    /// Whether a ticket of it is out.
    var hasOpen: Bool { open > 0 || refusals > 0 || streams > 0 }

    /// Whether any kind still refuses it.
    func isBlocked(nowMs: Int64) -> Bool {
        kinds[0].blockedUntilMs > nowMs || kinds[1].blockedUntilMs > nowMs
    }

    /// The decision about a new connection: a block first, then the count, and the rate last, so that no token is
    /// spent on a connection that is refused anyway.
    mutating func connect(_ kind: ListenerKind, _ settings: SourceSettings, nowMs: Int64) -> SourceTable.Refusal? {
        let at = Int(kind.rawValue)
        let limits = settings[kind]
        if kinds[at].blockedUntilMs > nowMs { return .blocked(retryAfterMs: kinds[at].blockedUntilMs - nowMs) }
        if limits.connections > 0, kinds[at].open >= limits.connections { return .tooManyConnections }
        if settings.places > 0, open >= settings.places { return .tooManyPlaces }
        if let wait = kinds[at].connects.take(limits.connects, nowMs: nowMs) { return .connectRate(retryAfterMs: wait) }
        kinds[at].open &+= 1
        return nil
    }

    /// Forgets one open connection.
    mutating func disconnect(_ kind: ListenerKind) {
        let at = Int(kind.rawValue)
        if kinds[at].open > 0 { kinds[at].open -= 1 }
    }

    /// Counts a refusal that takes time, unless so many are under way.
    mutating func takeRefusal(atMost most: Int) -> Bool {
        guard Int(refusals) < most else { return false }
        refusals += 1
        return true
    }

    /// Counts a tunnel, or an answer that lasts, unless it has as many as one source may.
    mutating func takeStream(_ settings: SourceSettings) -> Bool {
        guard settings.places == 0 || Int(streams) < settings.places else { return false }
        streams += 1
        return true
    }

    /// Adds points; says whether the source is blocked now.
    mutating func penalise(_ kind: ListenerKind, _ points: Double, _ settings: SourceSettings, nowMs: Int64) -> Bool {
        let at = Int(kind.rawValue)
        let ageMs = max(nowMs &- kinds[at].scoredAtMs, 0)
        let halfLives = Double(ageMs) / Double(max(settings.halfLifeMs, 1))
        kinds[at].score = kinds[at].score * exp2(-halfLives) + points
        kinds[at].scoredAtMs = nowMs
        // One percent of slack: five quick misdeeds of 4 points are 20, although the first has aged a second by then.
        if settings.penaltyScore > 0, kinds[at].score > settings.penaltyScore * 0.99 {
            kinds[at].blockedUntilMs = max(kinds[at].blockedUntilMs, nowMs &+ settings.blockMs)
        }
        return kinds[at].blockedUntilMs > nowMs
    }
}
