internal import Synchronization
public import Wire

/// The keys that seal session cookies, from `state`. Any thread; loops may hold `keys` and take it anew now and then.
///
/// A new key takes over every 24 hours and old ones stay as long as a cookie sealed with them can live, so a restart
/// logs nobody out, and a standby with the same file accepts the same cookies.
public final class KeyRing: Sendable {
    /// Seconds after which a new key seals.
    static let rotation: Int64 = 86_400
    /// Seconds that a key is kept longer than its cookies live, for a standby that reads the file late.
    static let slack: Int64 = 3600
    /// Seconds that the wall clock must keep saying that a key is of no use: one that is ahead for a while would end
    /// sessions for good.
    static let doubt: Int64 = 600
    /// Seconds for which a new key does not seal, so that other processes have read it when its first cookie comes.
    static let settling: Int64 = 3

    private struct State {
        var keys: Keys
        var absolute: Int64
        /// Of the file that was read or written last; nil when there is none.
        var stamp: KeyRingFile.Stamp?
        /// Since when some key has been of no use, by the wall clock; of the steady one.
        var spareSince: Int64?
        /// When the newest key begins to seal, of the steady clock.
        var sealsFrom: Int64?
    }

    private let state: Mutex<State>
    private let file: KeyRingFile

    /// Reads the ring in `directory`, and makes it, mode 0600, on the first start. Where it cannot be written it is made
    /// in memory, and `maintain` says so.
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - absolute: the longest life of a session in seconds, `ide.session.absolute`.
    public static func load(directory: String, now: Int64, absolute: Int64) throws(StateError) -> KeyRing {
        let file = KeyRingFile(path: "\(directory)/session-keys.json")
        // Looked at first, so that a change while it is read is seen later.
        let stamp = try file.stamp()
        if let entries = try file.read() {
            return KeyRing(State(keys: Keys(entries), absolute: absolute, stamp: stamp), file)
        }
        let new = [Keys.Entry(created: now)]
        guard let (entries, stamp) = try? file.update(whenMissing: new, { _ in nil }) else {
            return KeyRing(State(keys: Keys(new), absolute: absolute), file)
        }
        return KeyRing(State(keys: Keys(entries), absolute: absolute, stamp: stamp), file)
    }

    private init(_ state: State, _ file: KeyRingFile) {
        self.state = Mutex(state)
        self.file = file
    }

    /// The keys as they are now: immutable, to be held as long as convenient.
    public var keys: Keys { state.withLock { $0.keys } }

    /// Seals `session` for `host`; see `Keys.seal`.
    public func seal(_ session: Session, host: borrowing Span<UInt8>, into out: inout ByteBuffer) {
        keys.seal(session.sealed, host: host, into: &out)
    }

    /// Opens a cookie's value; see `Keys.open`.
    public func open(_ cookie: borrowing Span<UInt8>, host: borrowing Span<UInt8>) -> SealedSession? {
        keys.open(cookie, host: host)
    }

    /// Changes how long old keys must be kept, in seconds.
    public func setAbsolute(_ absolute: Int64) { state.withLock { $0.absolute = absolute } }

    /// What is due now and then: reads the file if another process changed it, puts it back if it is gone, makes a new
    /// key when the newest is 24 hours old, and drops those no cookie needs. Waits for the disk, but only when something
    /// is due: not on an event loop. What fails changes nothing; call it every second or so.
    /// - Returns: whether this process changed the ring.
    @discardableResult
    public func maintain(now: Moment) throws(StateError) -> Bool {
        try reloadIfChanged()
        let changed = try rotateIfDue(now: now)
        state.withLock {
            guard let from = $0.sealsFrom, now.steady >= from else { return }
            $0.sealsFrom = nil
            $0.keys = Keys($0.keys.entries)
        }
        return changed
    }

    /// Makes a new key when it is time, which seals some seconds later, and drops those that have been of no use for
    /// ten minutes.
    @discardableResult
    func rotateIfDue(now: Moment) throws(StateError) -> Bool {
        let (current, absolute, drops) = state.withLock { state in
            let isSpare =
                Self.needed(state.keys.entries, now: now.epoch, absolute: state.absolute) != state.keys.entries
            let since = isSpare ? state.spareSince ?? now.steady : nil
            state.spareSince = since
            return (state.keys.entries, state.absolute, since.map { now.steady - $0 >= Self.doubt } ?? false)
        }
        let change = { entries in Self.rotated(entries, now: now.epoch, absolute: absolute, drops: drops) }
        guard change(current) != nil else { return false }
        // Another process may have rotated already: what counts is what the file holds.
        let (keys, stamp) = try file.update(whenMissing: current, change)
        let isNew = keys.last != current.last
        state.withLock {
            $0.keys = Keys(keys, sealing: isNew ? max(0, keys.count - 2) : keys.count - 1)
            $0.stamp = stamp
            if drops { $0.spareSince = nil }
            if isNew { $0.sealsFrom = now.steady + Self.settling }
        }
        return true
    }

    /// Reads the file again if it is not the one that was read last, and writes it anew if it is gone. A file that cannot
    /// be used changes nothing.
    /// - Returns: whether the ring changed.
    @discardableResult
    func reloadIfChanged() throws(StateError) -> Bool {
        let (known, current) = state.withLock { ($0.stamp, $0.keys.entries) }
        var stamp = try file.stamp()
        if stamp != nil && stamp == known { return false }
        var keys = try file.read()
        if keys == nil { (keys, stamp) = try file.update(whenMissing: current) { _ in nil } }
        guard let keys else { return false }
        state.withLock {
            if keys != current { $0.keys = Keys(keys) }
            $0.stamp = stamp
        }
        return keys != current
    }

    /// The ring as it should be at `now`; nil when it is so already. Oldest first, the last one is the newest.
    private static func rotated(_ entries: [Keys.Entry], now: Int64, absolute: Int64, drops: Bool) -> [Keys.Entry]? {
        var out = drops ? needed(entries, now: now, absolute: absolute) : entries
        // A newest key from the far future was made under a wrong clock; waiting for its turn would take for ever.
        let age = entries.last.map { now - $0.created }
        if age.map({ $0 >= rotation || $0 <= -rotation }) ?? true { out.append(Keys.Entry(created: now)) }
        return out == entries ? nil : out
    }

    /// Those whose cookies may still be good at `now`.
    private static func needed(_ entries: [Keys.Entry], now: Int64, absolute: Int64) -> [Keys.Entry] {
        var out: [Keys.Entry] = []
        for (index, entry) in entries.enumerated() {
            // A key sealed its last cookie when its successor was made. One that seems older than it was made under a clock
            // that was behind, and says nothing; or this one was under a clock that was ahead.
            let later = entries[(index + 1)...].lazy.map(\.created)
            let last = later.first { $0 >= entry.created } ?? later.max() ?? .max - absolute - slack
            if last + absolute + slack > now { out.append(entry) }
        }
        return out
    }
}
