/// The `jti`s of launch tokens that have started a session, in memory and in `state`, until no clock that is off by
/// the skew could still accept the token. Shared by all loops; any thread.
///
/// A spent token is written to the file, without waiting for the disk, before `spend` returns: a crash or restart of
/// the process forgets nothing; a crash of the machine may forget what the kernel had not yet written back (tens of
/// seconds by default). Two processes that share the directory, as during an upgrade, spend each token once between
/// them. If the file cannot be written, tokens are still spent in memory (see `failure`), and the file is removed: the
/// next start refuses the tokens from before it, unless a sweep could write the whole record anew by then.
public final class SpentTokens: Sendable {
    /// What became of an attempt to spend a token.
    public enum Outcome: Sendable, Equatable {
        /// It had not been used; now it is.
        case first
        /// It was used before, and started the session with this id.
        case again(sessionID: String)
        /// The record cannot tell whether it was used: see `cannotTell`.
        case beforeStart
    }

    private let table: ExpiringTable

    /// Opens the record in `directory` (nil: in memory only) or begins one at `startedAt`, seconds since 1970.
    public static func open(directory: String?, now: Moment, startedAt: Int64) throws(StateError) -> SpentTokens {
        // A record that does not exist yet begins when the process started, which is before any token it can see.
        let table = try ExpiringTable(
            directory: directory, name: "spent-tokens", beginning: startedAt, now: now,
            traits: .init(mustBeWhole: true, keptByStart: 600))
        return SpentTokens(table)
    }

    private init(_ table: ExpiringTable) {
        self.table = table
    }

    /// Spends a token for a session.
    /// - Parameters:
    ///   - expires: until when to remember it: `exp` plus the skew.
    ///   - issuedAt: its `iat`.
    public func spend(
        _ jti: String, sessionID: String, expires: Int64, issuedAt: Int64, now: Moment
    ) -> Outcome {
        if cannotTell(issuedAt: issuedAt, expires: expires), !isSpent(jti) { return .beforeStart }
        if let first = table.insert(jti, value: sessionID, expires: expires, now: now) {
            return .again(sessionID: first)
        }
        return .first
    }

    /// Whether it was spent; for header tokens, which spend nothing.
    public func isSpent(_ jti: String) -> Bool { table.value(jti) != nil }

    /// The id of the session it started; nil when it was not spent.
    public func sessionID(of jti: String) -> String? { table.value(jti) }

    /// Whether a token of this `iat` may have been spent before the record began, or, with this `exp` plus skew, be
    /// among those that were forgotten under a clock that was ahead.
    public func cannotTell(issuedAt: Int64, expires: Int64) -> Bool {
        issuedAt < table.beginning || expires <= table.forgottenUpTo
    }

    /// Reads what other processes spent. Cheap: call it several times a second.
    public func readOthers(now: Moment) { table.readOthers(now: now) }

    /// Forgets what has expired and tidies the file. Waits for the disk: not on an event loop. Call it every second
    /// or so.
    public func sweep(now: Moment) {
        // The clock was ahead when the record was begun.
        table.begin(notAfter: now.epoch)
        table.sweep(now: now)
    }

    /// How many are remembered.
    public var count: Int { table.count }

    /// Why the file does not hold all that memory does; nil when all is well.
    public var failure: StateError? { table.failure }

    /// Lines of the file that were skipped as damaged when it was opened.
    public var damagedLines: Int { table.damagedLines }
}
