import Crypto
internal import Synchronization
import Wire

/// The live sessions of all loops: for idle time, for listing, and so that an ended one stays ended. Any thread.
///
/// It takes a lock at a launch and when a connection shows a cookie for the first time, never per request. A cookie
/// that opens but is not known here (the process restarted) counts as used just now.
public final class SessionRegistry: Sendable {
    /// One of several, so that a sweep never holds up a loop for long.
    private final class Shard: Sendable {
        let sessions = Mutex<[SealedSession: Session]>([:])
    }

    private let shards: [Shard]
    private let shardCapacity: Int
    private let limit: Mutex<SessionLimits>
    private let live = Atomic<Int>(0)
    /// Sessions that ended before their cookies do, by fingerprint, until the cookies do too.
    private let ended: ExpiringTable

    /// A registry in memory only, for at most `capacity` sessions.
    public convenience init(limits: SessionLimits, capacity: Int = 1_000_000) {
        // Without a directory there is nothing that could fail.
        let ended = try! ExpiringTable(directory: nil, name: "ended-sessions", beginning: 0, now: 0)
        self.init(limits: limits, capacity: capacity, ended: ended)
    }

    /// A registry that remembers in `directory` which sessions have ended, so that a restart revives none.
    public static func open(
        directory: String, limits: SessionLimits, capacity: Int = 1_000_000, now: Int64
    ) throws(StateError) -> SessionRegistry {
        let ended = try ExpiringTable(directory: directory, name: "ended-sessions", beginning: now, now: now)
        return SessionRegistry(limits: limits, capacity: capacity, ended: ended)
    }

    private init(limits: SessionLimits, capacity: Int, ended: ExpiringTable) {
        shards = (0..<16).map { _ in Shard() }
        shardCapacity = max(1, capacity / 16)
        limit = Mutex(limits)
        self.ended = ended
    }

    private func shard(of sealed: SealedSession) -> Shard {
        shards[Int(truncatingIfNeeded: sealed.hashValue) & 15]
    }

    /// The session that a launch started or a cookie holds: the one already known, or a new one that counts as used
    /// at `now`. One that has ended comes back ended; look at `ended` or `check`.
    public func admit(_ sealed: SealedSession, now: Int64) -> Session {
        shard(of: sealed).sessions.withLock { sessions in
            if let known = sessions[sealed] { return known }
            if let reason = reasonEnded(sealed) { return Session(sealed, now: now, ended: reason) }
            if sessions.count >= shardCapacity { evict(from: &sessions) }
            let session = Session(sealed, now: now)
            sessions[sealed] = session
            live.add(1, ordering: .relaxed)
            return session
        }
    }

    /// Makes room by forgetting the longest unused of a few. It is not ended: its cookie brings it back.
    private func evict(from sessions: inout [SealedSession: Session]) {
        guard let victim = sessions.values.prefix(16).min(by: { $0.idleSince < $1.idleSince }) else { return }
        sessions[victim.sealed] = nil
        live.subtract(1, ordering: .relaxed)
    }

    /// Ends `session` for good: its cookie stays refused until its absolute end, in this process and the next.
    public func end(_ session: Session, _ reason: SessionEnd) {
        session.end(reason)
        remember(session)
    }

    /// Ends the sessions that `revocations` cover.
    /// - Returns: how many there were.
    @discardableResult
    public func end(coveredBy revocations: Revocations) -> Int {
        if revocations.isEmpty { return 0 }
        let covered = list().filter { revocations.covers($0.sealed) }
        for session in covered { end(session, .revoked) }
        return covered.count
    }

    /// How many sessions are known.
    public var count: Int { live.load(ordering: .relaxed) }

    /// All sessions that have not ended, in no order.
    public func list() -> [Session] {
        shards.flatMap { shard in shard.sessions.withLock { $0.values.filter { $0.ended == nil } } }
    }

    /// Calls `body` with each session that has not ended, outside all locks.
    public func forEach(_ body: (Session) -> Void) {
        for session in list() { body(session) }
    }

    /// How long sessions last.
    public var limits: SessionLimits { limit.withLock { $0 } }

    /// Changes how long sessions last; a shorter idle time holds for sessions there are, a shorter absolute one for
    /// new ones.
    public func setLimits(_ limits: SessionLimits) { limit.withLock { $0 = limits } }

    /// Ends what is over by the clock and forgets it. Waits for the disk: not on an event loop. Call it every second
    /// or so.
    /// - Returns: how many ended.
    @discardableResult
    public func sweep(now: Int64) -> Int {
        let idle = limits.idle
        var ended = 0
        for shard in shards {
            let over = shard.sessions.withLock { $0.values.filter { $0.check(now: now, idle: idle) != nil } }
            // First remembered, then forgotten: no cookie finds a gap between the two.
            for session in over { remember(session) }
            ended += over.count
            shard.sessions.withLock { sessions in
                for session in over where sessions.removeValue(forKey: session.sealed) != nil {
                    live.subtract(1, ordering: .relaxed)
                }
            }
        }
        self.ended.sweep(now: now)
        return ended
    }

    /// Why the file of ended sessions is behind memory; nil when all is well.
    public var failure: StateError? { ended.failure }

    // MARK: - Ended sessions

    private func remember(_ session: Session) {
        switch session.ended {
        case .loggedOut, .idle, .revoked:
            ended.insert(
                Self.fingerprint(session.sealed), value: "\(session.ended!.rawValue)", expires: session.absoluteEnd)
        // The cookie itself is over, or the route decides anew.
        case .expired, .generation, nil: break
        }
    }

    private func reasonEnded(_ sealed: SealedSession) -> SessionEnd? {
        if ended.isEmpty { return nil }
        guard let value = ended.value(Self.fingerprint(sealed)) else { return nil }
        return UInt8(value).flatMap(SessionEnd.init) ?? .loggedOut
    }

    private static func fingerprint(_ sealed: SealedSession) -> String {
        Base64URL.encode(Array(Digest.sha256(sealed.bytes).prefix(16)))
    }
}
