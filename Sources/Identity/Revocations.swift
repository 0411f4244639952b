/// Which sessions, users and containers are shut out: a list from the routes file or from `RevocationStore`, indexed.
/// A value; any thread. A look-up costs the same however long the list is.
public struct Revocations: Sendable, Equatable {
    /// One entry. `before` is in seconds since 1970 and compares with the `iat` of the token a session was made from:
    /// what was issued earlier is revoked. Without it everything is, whatever its `iat`, until the entry is removed.
    public enum Rule: Sendable, Hashable {
        /// The session with this id.
        case session(String)
        /// Sessions of this user.
        case user(String, before: Int64?)
        /// Sessions on this container.
        case vmid(UInt32, before: Int64?)
    }

    private var sessions: Set<String> = []
    private var users: [String: Int64] = [:]
    private var vmids: [UInt32: Int64] = [:]

    /// An index of `rules`. Of several for one user or container the farthest-reaching counts.
    public init(_ rules: some Sequence<Rule> = []) {
        for rule in rules {
            switch rule {
            case .session(let id): sessions.insert(id)
            case .user(let name, let before): users[name] = max(users[name] ?? .min, before ?? .max)
            case .vmid(let vmid, let before): vmids[vmid] = max(vmids[vmid] ?? .min, before ?? .max)
            }
        }
    }

    /// Whether there is no entry at all.
    public var isEmpty: Bool { sessions.isEmpty && users.isEmpty && vmids.isEmpty }

    /// Whether a session, or a token that would start one, is revoked. `sessionID` nil: it has none yet.
    public func covers(sessionID: String?, user: String, vmid: UInt32, issuedAt: Int64) -> Bool {
        if isEmpty { return false }
        if let sessionID, sessions.contains(sessionID) { return true }
        if let before = users[user], issuedAt < before { return true }
        if let before = vmids[vmid], issuedAt < before { return true }
        return false
    }

    /// Whether `session` is revoked.
    public func covers(_ session: SealedSession) -> Bool {
        covers(sessionID: session.id, user: session.user, vmid: session.vmid, issuedAt: session.issuedAt)
    }
}
