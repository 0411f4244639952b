internal import Synchronization

/// The live sessions of all loops: for idle time, for listing, and so that an ended one stays ended. Any thread.
///
/// It takes a lock at a launch and when a connection shows a cookie for the first time, never per request. Processes
/// that share `state` tell each other through two files which sessions ended and when the others were last used. So an
/// idle session comes back neither by a restart nor by the other process, and neither ends one that the other serves.
/// If an end cannot be written, the next start refuses all sessions from before it, as any may be the one; unless a sweep
/// could write the whole record anew by then.
public final class SessionRegistry: Sendable {
    /// One of several, so that a sweep never holds up a loop for long.
    private final class Shard: Sendable {
        let sessions = Mutex<[SessionFingerprint: Session]>([:])
    }

    private let shards: [Shard]
    private let shardCapacity: Int
    private let limit: Mutex<SessionLimits>
    private let live = Atomic<Int>(0)
    /// Sessions that were ended before their cookies are over, by fingerprint, until the cookies are over too.
    private let endings: ExpiringTable
    /// When sessions were last used, seconds since 1970, by fingerprint, until their cookies are over.
    private let activity: ExpiringTable

    /// A registry in memory only, for at most `capacity` sessions.
    public convenience init(limits: SessionLimits, capacity: Int = 1_000_000) {
        // Without a directory there is nothing that could fail.
        try! self.init(directory: nil, limits, capacity, Moment(epoch: 0, steady: 0))
    }

    /// A registry that remembers in `directory` which sessions have ended, so that a restart revives none.
    public static func open(
        directory: String, limits: SessionLimits, capacity: Int = 1_000_000, now: Moment
    ) throws(StateError) -> SessionRegistry {
        try SessionRegistry(directory: directory, limits, capacity, now)
    }

    private init(directory: String?, _ limits: SessionLimits, _ capacity: Int, _ now: Moment) throws(StateError) {
        shards = (0..<16).map { _ in Shard() }
        shardCapacity = max(1, capacity / 16)
        limit = Mutex(limits)
        endings = try ExpiringTable(
            directory: directory, name: "ended-sessions", beginning: now.epoch, now: now,
            traits: .init(mustBeWhole: true, missingIsWhole: true, tellsNews: true, keptByStart: 600))
        activity = try ExpiringTable(
            directory: directory, name: "session-activity", beginning: now.epoch, now: now,
            traits: .init(keepsGreatest: true, tellsNews: true))
    }

    private func shard(of fingerprint: SessionFingerprint) -> Shard {
        shards[Int(truncatingIfNeeded: fingerprint.hashValue) & 15]
    }

    /// The session that a launch started or a cookie holds: the one already known, or a new one that counts as used
    /// when a process last said so, or else at `now`. One that has ended comes back ended; look at `ended` or `check`.
    public func admit(_ sealed: SealedSession, now: Moment) -> Session {
        let fingerprint = SessionFingerprint(sealed)
        return shard(of: fingerprint).sessions.withLock { sessions in
            if let known = sessions[fingerprint] { return known }
            let idleSince = lastUse(fingerprint, now) ?? now.steady
            let ended = reasonEnded(fingerprint) ?? (cannotTell(issuedAt: sealed.issuedAt) ? .expired : nil)
            let session = Session(sealed, fingerprint, idleSince: idleSince, ended: ended)
            if session.check(now: now, idle: limits.idle) != nil { return session }
            if sessions.count >= shardCapacity { evict(from: &sessions) }
            sessions[fingerprint] = session
            live.add(1, ordering: .relaxed)
            return session
        }
    }

    /// Whether a session made of a token of this `iat` may have been ended by a process that could not write it down.
    public func cannotTell(issuedAt: Int64) -> Bool { issuedAt < endings.beginning }

    /// Makes room by forgetting the longest unused of a few. It is not ended: its cookie brings it back.
    private func evict(from sessions: inout [SessionFingerprint: Session]) {
        guard let victim = sessions.values.prefix(16).min(by: { $0.idleSince < $1.idleSince }) else { return }
        victim.evict()
        sessions[victim.fingerprint] = nil
        live.subtract(1, ordering: .relaxed)
    }

    /// Ends `session` for good: its cookie stays refused until its absolute end, in this process and the next.
    public func end(_ session: Session, _ reason: SessionEnd, now: Moment) {
        session.end(reason)
        remember(session, now)
    }

    /// Ends the sessions that `revocations` cover.
    /// - Returns: how many there were.
    @discardableResult
    public func end(coveredBy revocations: Revocations, now: Moment) -> Int {
        if revocations.isEmpty { return 0 }
        let covered = list().filter { revocations.covers($0.sealed) }
        for session in covered { end(session, .revoked, now: now) }
        return covered.count
    }

    /// Why `session` ended, also when it was evicted and ended since under its other name in the registry.
    public func reasonEnded(_ session: Session) -> SessionEnd? {
        if session.isEvicted, let reason = reasonEnded(session.fingerprint) { session.end(reason) }
        return session.ended
    }

    /// How many sessions are known.
    public var count: Int { live.load(ordering: .relaxed) }

    /// All sessions that have not ended, in no order.
    public func list() -> [Session] {
        shards.flatMap { shard in shard.sessions.withLock { $0.values.filter { $0.ended == nil } } }
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
    public func sweep(now: Moment) -> Int {
        // First heard, then judged: the other process may have served a session that was idle here.
        shareActivity(now: now)
        let endedElsewhere = readOthers(now: now)
        let idle = limits.idle
        var ended = 0
        for shard in shards {
            let over = shard.sessions.withLock { $0.values.filter { $0.check(now: now, idle: idle) != nil } }
            // First remembered, then forgotten: no cookie finds a gap between the two.
            for session in over { remember(session, now) }
            share(over, interval: 0, now)
            ended += over.count
            shard.sessions.withLock { sessions in
                for session in over where sessions.removeValue(forKey: session.fingerprint) != nil {
                    live.subtract(1, ordering: .relaxed)
                }
            }
        }
        // The clock was ahead when the record was begun.
        endings.begin(notAfter: now.epoch)
        endings.sweep(now: now)
        activity.sweep(now: now)
        return max(ended, endedElsewhere)
    }

    /// Why a file of sessions is behind memory; nil when all is well.
    public var failure: StateError? { endings.failure ?? activity.failure }

    /// Lines about ended sessions that were skipped as damaged when the file was opened.
    public var damagedLines: Int { endings.damagedLines }

    // MARK: - Other processes

    /// Ends what other processes ended, and takes as used what they served. Cheap: call it several times a second.
    /// - Returns: how many ended.
    public func readOthers(now: Moment) -> Int {
        activity.readOthers(now: now)
        for record in activity.takeNews() {
            guard let used = Int64(record.value), let session = known(record.key) else { continue }
            session.touch(steady: Self.steady(ofUse: used, now))
            session.markUsed()
        }
        endings.readOthers(now: now)
        let ended = endings.takeNews()
        for record in ended { known(record.key)?.end(Self.reason(record.value)) }
        return ended.count
    }

    /// Writes down which sessions were used since the last time; each is written once in a sixteenth of the idle time,
    /// so that is how much sooner than due another process, or a restart after a crash, may find it idle at most. Call
    /// it several times a second, and before the process ends with `all`.
    public func shareActivity(all: Bool = false, now: Moment) {
        let interval = all ? 0 : max(1, limits.idle / 16)
        for shard in shards {
            let due = shard.sessions.withLock {
                $0.values.filter { $0.unshared(now: now.steady, interval: interval) != nil }
            }
            share(due, interval: interval, now)
        }
    }

    private func share(_ sessions: [Session], interval: Int64, _ now: Moment) {
        var records: [ExpiringTable.Record] = []
        for session in sessions {
            guard let last = session.unshared(now: now.steady, interval: interval) else { continue }
            session.noteShared(last)
            let used = now.epoch - (now.steady - last)
            records.append(.init(expires: session.absoluteEnd, key: session.fingerprint.text, value: "\(used)"))
        }
        activity.insert(records, now: now)
    }

    /// When some process last served the session, by our steady clock.
    private func lastUse(_ fingerprint: SessionFingerprint, _ now: Moment) -> Int64? {
        if activity.isEmpty { return nil }
        guard let used = activity.value(fingerprint.text).flatMap({ Int64($0) }) else { return nil }
        return Self.steady(ofUse: used, now)
    }

    /// By our steady clock what a file says of a use; whatever it says.
    private static func steady(ofUse epoch: Int64, _ now: Moment) -> Int64 {
        now.steady - max(0, now.epoch - max(0, epoch))
    }

    private func known(_ key: String) -> Session? {
        guard let fingerprint = SessionFingerprint(text: key) else { return nil }
        return shard(of: fingerprint).sessions.withLock { $0[fingerprint] }
    }

    // MARK: - Ended sessions

    private func remember(_ session: Session, _ now: Moment) {
        switch session.ended {
        case .loggedOut, .revoked:
            endings.insert(
                session.fingerprint.text, value: "\(session.ended!.rawValue)", expires: session.absoluteEnd, now: now)
        // The clock or the route decides anew; that is not final, as a clock may be wrong and another process busy.
        case .expired, .idle, .generation, nil: break
        }
    }

    private func reasonEnded(_ fingerprint: SessionFingerprint) -> SessionEnd? {
        if endings.isEmpty { return nil }
        return endings.value(fingerprint.text).map(Self.reason)
    }

    private static func reason(_ value: String) -> SessionEnd {
        UInt8(value).flatMap(SessionEnd.init) ?? .loggedOut
    }
}
