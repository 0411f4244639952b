import Synchronization
public import Wire

/// What the process knows of every source of connections: open connections, rates, penalties, blocks.
///
/// One table is shared by all loops. It is sharded, with a lock a shard that is taken at accept, close, launch, login
/// and refusals, never per byte or per ordinary request. Its memory is bounded by `SourceSettings.tracked`: when all
/// places are taken, the idle source that was longest unused is forgotten, then the one blocked longest, and never one
/// with open connections; a source that finds no place shares one bucket with all others of that fate.
///
/// Times are monotonic milliseconds. A limit of 0 limits nothing.
public final class SourceTable: Sendable {
    /// A connection's place in the table, so that closing it needs no look-up.
    public struct Ticket: Sendable, Equatable {
        let shard: UInt16
        let kind: ListenerKind
        let place: Int32

        /// The ticket of an exempt source: nothing was counted.
        public static let none = Ticket(shard: 0, kind: .https, place: -1)
    }

    /// What becomes of a new connection.
    public enum Admission: Sendable, Equatable {
        /// Serve it, and give the ticket to `disconnect` when it closes.
        case admitted(Ticket)
        /// Refuse it.
        case refused(Refusal)
    }

    /// Why a new connection is refused.
    public enum Refusal: Sendable, Equatable {
        /// The source is in the penalty block for so many more milliseconds.
        case blocked(retryAfterMs: Int64)
        /// The source has as many connections open as it may.
        case tooManyConnections
        /// The source has as many as one may have of all that the process can hold.
        case tooManyPlaces
        /// The table is full of others: the source shares the bucket of those that found no place, which is empty.
        case untracked(retryAfterMs: Int64?)
        /// The source connects too often; one more is allowed in so many milliseconds.
        case connectRate(retryAfterMs: Int64)

        /// Milliseconds after which a new attempt may succeed; nil when that depends on other connections closing.
        public var retryAfterMs: Int64? {
            switch self {
            case .blocked(let ms), .connectRate(let ms): ms
            case .untracked(let ms): ms
            case .tooManyConnections, .tooManyPlaces: nil
            }
        }
    }

    final class Shard: Sendable {
        let state: Mutex<SourceShard>
        init(_ settings: SourceSettings, capacity: Int) {
            state = Mutex(SourceShard(settings, capacity: capacity))
        }
    }

    struct Shared: Sendable {
        var settings: SourceSettings
        var source = Source(prefix: IPAddress(high: 0, low: 0), hash: 0, chained: -1)
    }

    private static let sharedShard = UInt16.max

    let shards: [Shard]
    let overflow: Mutex<Shared>
    private let bits: Atomic<UInt32>
    private let secret: (UInt64, UInt64, UInt64)

    /// A table for at most `settings.tracked` sources.
    public init(_ settings: SourceSettings) {
        let tracked = min(max(settings.tracked, 1), 1 << 26)
        var count = 1
        while count < 64, tracked / count >= 128 { count *= 2 }
        shards = (0..<count).map { at in
            Shard(settings, capacity: tracked / count + (at < tracked % count ? 1 : 0))
        }
        overflow = Mutex(Shared(settings: settings))
        bits = Atomic(Self.pack(settings))
        // A secret hash, so that nobody can aim many prefixes at one place.
        var random = SystemRandomNumberGenerator()
        secret = (random.next(), random.next(), random.next() | 1)
    }

    /// Applies new limits at once, to known sources too. The size of the table stays as it was made.
    public func apply(_ settings: SourceSettings) {
        for shard in shards { shard.state.withLock { $0.settings = settings } }
        overflow.withLock { $0.settings = settings }
        bits.store(Self.pack(settings), ordering: .relaxed)
    }

    /// Sources remembered now.
    public var trackedSources: Int {
        shards.reduce(0) { $0 + $1.state.withLock { $0.count } }
    }
}

// MARK: Connections

extension SourceTable {
    /// Decides about a new connection and counts it if it is admitted. Called once at accept.
    public func connect(_ address: IPAddress, _ kind: ListenerKind, nowMs: Int64) -> Admission {
        let (prefix, hash, shard) = locate(address)
        let known: Admission? = shards[shard].state.withLock { state in
            if state.settings.isExempt(address) { return .admitted(.none) }
            guard let at = state.findOrInsert(prefix, hash, nowMs: nowMs) else { return nil }
            let refusal = state.sources[at].connect(kind, state.settings, nowMs: nowMs)
            state.settle(at, nowMs: nowMs)
            if let refusal { return .refused(refusal) }
            return .admitted(
                Ticket(shard: UInt16(truncatingIfNeeded: shard), kind: kind, place: Int32(truncatingIfNeeded: at)))
        }
        if let known { return known }
        return overflow.withLock { shared in
            if let refusal = shared.source.connect(kind, shared.settings, nowMs: nowMs) {
                return .refused(.untracked(retryAfterMs: refusal.retryAfterMs))
            }
            return .admitted(Ticket(shard: Self.sharedShard, kind: kind, place: 0))
        }
    }

    /// Gives back what `connect` counted. Called once for every ticket, when its connection closes.
    public func disconnect(_ ticket: Ticket) {
        release(ticket) { $0.disconnect(ticket.kind) }
    }

    /// Gives back what a source holds, and lets its entry age once nothing of it is open.
    private func release(_ ticket: Ticket, _ giveBack: (inout Source) -> Void) {
        if ticket.place < 0 { return }
        if ticket.shard == Self.sharedShard {
            overflow.withLock { giveBack(&$0.source) }
            return
        }
        shards[Int(ticket.shard)].state.withLock { state in
            let at = Int(ticket.place)
            giveBack(&state.sources[at])
            if !state.sources[at].hasOpen { state.settle(at, nowMs: state.latestMs) }
        }
    }
}

// MARK: Refusals

extension SourceTable {
    /// Counts a refusal that is told in words and so takes a while: a ticket for `endRefusal`, or nil when the source has
    /// `most` of them under way.
    public func takeRefusal(_ address: IPAddress, atMost most: Int, nowMs: Int64) -> Ticket? {
        let (prefix, hash, shard) = locate(address)
        let known: Ticket?? = shards[shard].state.withLock { state in
            if state.settings.isExempt(address) { return .some(Ticket.none) }
            guard let at = state.findOrInsert(prefix, hash, nowMs: nowMs) else { return nil }
            guard state.sources[at].takeRefusal(atMost: most) else { return .some(nil) }
            state.settle(at, nowMs: nowMs)
            return Ticket(
                shard: UInt16(truncatingIfNeeded: shard), kind: .minecraft, place: Int32(truncatingIfNeeded: at))
        }
        if let known { return known }
        return overflow.withLock { shared in
            guard shared.source.takeRefusal(atMost: most) else { return nil }
            return Ticket(shard: Self.sharedShard, kind: .minecraft, place: 0)
        }
    }

    /// The refusal was told. Called once for every ticket of `takeRefusal`.
    public func endRefusal(_ ticket: Ticket) {
        release(ticket) { $0.refusals -= 1 }
    }
}

// MARK: Streams

extension SourceTable {
    /// Counts a tunnel, or an answer that lasts, for the source of a connection that is open; false when it has as many
    /// as one source may.
    public func takeStream(_ ticket: Ticket) -> Bool {
        if ticket.place < 0 { return true }
        if ticket.shard == Self.sharedShard { return overflow.withLock { $0.source.takeStream($0.settings) } }
        return shards[Int(ticket.shard)].state.withLock { $0.sources[Int(ticket.place)].takeStream($0.settings) }
    }

    /// It is over. Called once for every success of `takeStream`, perhaps after `disconnect`.
    public func endStream(_ ticket: Ticket) {
        release(ticket) { $0.streams -= 1 }
    }
}

// MARK: Rates

extension SourceTable {
    /// Takes a token for an answer 401 or 403 at the HTTPS front, unless another site caused the request: nil when there
    /// was one, else the milliseconds until the next (429 with that as `Retry-After`).
    public func takeUnauthenticated(_ address: IPAddress, nowMs: Int64) -> Int64? {
        take(address, nowMs: nowMs) { source, settings in
            source.unauthenticated.take(settings.https.unauthenticated, nowMs: nowMs)
        }
    }

    /// Takes a token for looking at a launch token that, by what the browser says, another site brings: nil when there
    /// was one, else the milliseconds until the next.
    ///
    /// Such requests are neither counted as `unauthenticated` nor penalised, as any page could shut its visitors out by
    /// them. A program that only claims to be such a browser meets this bound instead, which no page can make a browser
    /// reach: checking a signature is the dearest thing that a stranger can ask for.
    public func takeForeignToken(_ address: IPAddress, nowMs: Int64) -> Int64? {
        take(address, nowMs: nowMs) { source, settings in
            source.foreignTokens.take(settings.foreignTokens, nowMs: nowMs)
        }
    }

    /// Takes a token for a Minecraft status request: nil when there was one, else the milliseconds until the next.
    public func takeStatus(_ address: IPAddress, nowMs: Int64) -> Int64? {
        take(address, nowMs: nowMs) { source, settings in
            source.status.take(settings.minecraft.status, nowMs: nowMs)
        }
    }

    /// Takes a token for a Minecraft login or transfer: nil when there was one, else the milliseconds until the next.
    public func takeLogin(_ address: IPAddress, nowMs: Int64) -> Int64? {
        take(address, nowMs: nowMs) { source, settings in
            source.login.take(settings.minecraft.login, nowMs: nowMs)
        }
    }

    private func take(
        _ address: IPAddress, nowMs: Int64, _ body: (inout Source, SourceSettings) -> Int64?
    ) -> Int64? {
        let (prefix, hash, shard) = locate(address)
        let known: Int64?? = shards[shard].state.withLock { state in
            if state.settings.isExempt(address) { return .some(nil) }
            guard let at = state.findOrInsert(prefix, hash, nowMs: nowMs) else { return nil }
            let wait = body(&state.sources[at], state.settings)
            state.settle(at, nowMs: nowMs)
            return .some(wait)
        }
        if let known { return known }
        return overflow.withLock { body(&$0.source, $0.settings) }
    }
}

// MARK: Penalties

extension SourceTable {
    /// Adds a misdeed to the source's score at `kind`; says whether its new connections there are blocked now.
    ///
    /// A source that finds no place is not punished: others share its bucket.
    @discardableResult
    public func penalise(_ address: IPAddress, _ kind: ListenerKind, _ misdeed: Misdeed, nowMs: Int64) -> Bool {
        let (prefix, hash, shard) = locate(address)
        return shards[shard].state.withLock { state in
            guard !state.settings.isExempt(address), let at = state.findOrInsert(prefix, hash, nowMs: nowMs) else {
                return false
            }
            let points = state.settings.weights[misdeed]
            let blocked = state.sources[at].penalise(kind, points, state.settings, nowMs: nowMs)
            state.settle(at, nowMs: nowMs)
            return blocked
        }
    }
}

// MARK: Finding the place

extension SourceTable {
    private static func pack(_ settings: SourceSettings) -> UInt32 {
        let ipv4 = UInt32(min(max(settings.ipv4Bits, 0), 32))
        let ipv6 = UInt32(min(max(settings.ipv6Bits, 0), 128))
        return ipv4 << 8 | ipv6
    }

    func locate(_ address: IPAddress) -> (prefix: IPAddress, hash: UInt32, shard: Int) {
        let bits = bits.load(ordering: .relaxed)
        let prefix = address.prefix(Int(address.isIPv4 ? bits >> 8 : bits & 255))
        let first = (prefix.high ^ secret.0).multipliedFullWidth(by: prefix.low ^ secret.1)
        let second = (first.high ^ first.low ^ secret.1).multipliedFullWidth(by: secret.2)
        let hash = second.high ^ second.low
        return (prefix, UInt32(truncatingIfNeeded: hash), Int(hash >> 58) & (shards.count - 1))
    }
}
