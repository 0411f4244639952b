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

    private struct State {
        var keys: Keys
        var absolute: Int64
        var stamp: KeyRingFile.Stamp
    }

    private let state: Mutex<State>
    private let file: KeyRingFile

    /// Reads the ring in `directory`, and makes it, mode 0600, on the first start.
    /// - Parameters:
    ///   - now: seconds since 1970.
    ///   - absolute: the longest life of a session in seconds, `ide.session.absolute`.
    public static func load(directory: String, now: Int64, absolute: Int64) throws(StateError) -> KeyRing {
        let file = KeyRingFile(path: "\(directory)/session-keys.json")
        let (keys, stamp) = try file.update { Self.rotated($0, now: now, absolute: absolute) }
        return KeyRing(State(keys: Keys(keys), absolute: absolute, stamp: stamp), file)
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
    public func open(_ cookie: borrowing Span<UInt8>, host: borrowing Span<UInt8>, now: Int64) -> SealedSession? {
        keys.open(cookie, host: host, now: now)
    }

    /// Changes how long old keys must be kept, in seconds.
    public func setAbsolute(_ absolute: Int64) { state.withLock { $0.absolute = absolute } }

    /// Makes a new key when the newest is 24 hours old and drops those no cookie needs. Waits for the disk, but only
    /// when something is due: not on an event loop.
    /// - Returns: whether the ring changed.
    @discardableResult
    public func rotateIfDue(now: Int64) throws(StateError) -> Bool {
        let (current, absolute) = state.withLock { ($0.keys.entries, $0.absolute) }
        guard Self.rotated(current, now: now, absolute: absolute) != nil else { return false }
        // Another process may have rotated already: what counts is what the file holds.
        let (keys, stamp) = try file.update { Self.rotated($0, now: now, absolute: absolute) }
        adopt(keys, stamp)
        return true
    }

    /// Reads the file again if it is not the one that was read last. A file that cannot be used changes nothing.
    /// - Returns: whether the ring changed.
    @discardableResult
    public func reloadIfChanged() throws(StateError) -> Bool {
        let known = state.withLock { $0.stamp }
        guard let (keys, stamp) = try file.readIfChanged(since: known) else { return false }
        adopt(keys, stamp)
        return true
    }

    private func adopt(_ entries: [Keys.Entry], _ stamp: KeyRingFile.Stamp) {
        let keys = Keys(entries)
        state.withLock {
            $0.keys = keys
            $0.stamp = stamp
        }
    }

    /// The ring as it should be at `now`; nil when it is so already. Oldest first, the last one seals.
    static func rotated(_ entries: [Keys.Entry], now: Int64, absolute: Int64) -> [Keys.Entry]? {
        var out: [Keys.Entry] = []
        for (index, entry) in entries.enumerated() {
            // A key sealed its last cookie when its successor was made.
            let last = index + 1 < entries.count ? entries[index + 1].created : .max - absolute - slack
            if last + absolute + slack > now { out.append(entry) }
        }
        // A newest key from the far future was made under a wrong clock; waiting for its turn would take for ever.
        let age = entries.last.map { now - $0.created }
        if age.map({ $0 >= rotation || $0 <= -rotation }) ?? true { out.append(Keys.Entry(created: now)) }
        return out == entries ? nil : out
    }
}
