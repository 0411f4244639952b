/// The `jti`s of launch tokens that have started a session, in memory and in `state`, until no clock that is off by
/// the skew could still accept the token. Shared by all loops; any thread.
///
/// A spent token is written to the file, without waiting for the disk, before `spend` returns: a crash or restart of
/// the process forgets nothing; a crash of the machine may forget what the kernel had not yet written back (tens of
/// seconds by default). Two processes that share the directory, as during an upgrade, spend each token once between
/// them. If the file cannot be written, tokens are still spent in memory: see `failure`.
public final class SpentTokens: Sendable {
    /// What became of an attempt to spend a token.
    public enum Outcome: Sendable, Equatable {
        /// It had not been used; now it is.
        case first
        /// It was used before, and started the session with this id.
        case again(sessionID: String)
        /// It was issued before the record begins, so it may have been used before.
        case beforeStart
    }

    private let table: ExpiringTable
    /// Tokens issued sooner may have been spent without the record's knowing.
    private let beginning: Int64

    /// Opens the record in `directory` (nil: in memory only) or begins one at `startedAt`, seconds since 1970.
    public static func open(directory: String?, now: Int64, startedAt: Int64) throws(StateError) -> SpentTokens {
        // A record that does not exist yet begins when the process started, which is before any token it can see.
        let table = try ExpiringTable(directory: directory, name: "spent-tokens", beginning: startedAt, now: now)
        // Nobody knows which tokens the damaged lines spent: they are none that was issued from now on.
        return SpentTokens(table, beginning: table.damagedLines > 0 ? max(startedAt, table.beginning) : table.beginning)
    }

    private init(_ table: ExpiringTable, beginning: Int64) {
        self.table = table
        self.beginning = beginning
    }

    /// Spends a token for a session.
    /// - Parameters:
    ///   - expires: until when to remember it: `exp` plus the skew.
    ///   - issuedAt: its `iat`.
    public func spend(_ jti: String, sessionID: String, expires: Int64, issuedAt: Int64) -> Outcome {
        if issuedAt < beginning { return .beforeStart }
        if let first = table.insert(jti, value: sessionID, expires: expires) { return .again(sessionID: first) }
        return .first
    }

    /// Whether it was spent; for header tokens, which spend nothing.
    public func isSpent(_ jti: String) -> Bool { table.value(jti) != nil }

    /// The id of the session it started; nil when it was not spent.
    public func sessionID(of jti: String) -> String? { table.value(jti) }

    /// Whether a token of this `iat` may have been spent before the record began.
    public func predatesRecord(issuedAt: Int64) -> Bool { issuedAt < beginning }

    /// Forgets what has expired and tidies the file. Waits for the disk: not on an event loop. Call it every second
    /// or so.
    public func sweep(now: Int64) { table.sweep(now: now) }

    /// How many are remembered.
    public var count: Int { table.count }

    /// Why the file does not hold all that memory does; nil when all is well.
    public var failure: StateError? { table.failure }

    /// Lines of the file that were skipped as damaged when it was opened.
    public var damagedLines: Int { table.damagedLines }
}
