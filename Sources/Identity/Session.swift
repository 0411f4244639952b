import Crypto
internal import Synchronization
import Wire

/// Why a session is no more.
public enum SessionEnd: UInt8, Sendable, CaseIterable {
    /// Its absolute end has passed.
    case expired = 1
    /// A revocation covers it.
    case revoked = 2
    /// The person logged out.
    case loggedOut = 3
    /// Nothing was received or sent for longer than `ide.session.idle`.
    case idle = 4
    /// The container was re-created: the route has another generation.
    case generation = 5
}

/// How long sessions last. Seconds.
public struct SessionLimits: Sendable, Equatable {
    /// The most from launch to end.
    public var absolute: Int64
    /// The most without activity.
    public var idle: Int64

    /// Both, in seconds.
    public init(absolute: Int64 = 43_200, idle: Int64 = 7200) {
        self.absolute = absolute
        self.idle = idle
    }
}

/// What a sealed cookie holds: everything about a session that never changes. Two launches differ here, even with
/// the same session id, so this value is also what tells one session from another.
public struct SealedSession: Sendable, Hashable {
    /// The session's id, `sid`.
    public var id: String
    /// The user, `sub`.
    public var user: String
    /// The one container it opens.
    public var vmid: UInt32
    /// The route's generation at launch.
    public var generation: String
    /// The `iat` of the token it was made from, seconds since 1970; what revocations compare with.
    public var issuedAt: Int64
    /// When it ends whatever happens, seconds since 1970.
    public var absoluteEnd: Int64

    /// All of it by name.
    public init(id: String, user: String, vmid: UInt32, generation: String, issuedAt: Int64, absoluteEnd: Int64) {
        self.id = id
        self.user = user
        self.vmid = vmid
        self.generation = generation
        self.issuedAt = issuedAt
        self.absoluteEnd = absoluteEnd
    }

    /// The session that `claims` start at `now` on a route of this generation: a random id when they name none, and
    /// an end that is the sooner of theirs and ours.
    public init(claims: LaunchClaims, generation: String, limits: SessionLimits, now: Int64) {
        let (end, overflow) = now.addingReportingOverflow(limits.absolute)
        self.init(
            id: claims.sessionID ?? Random.id(), user: claims.subject, vmid: claims.vmid, generation: generation,
            issuedAt: claims.issuedAt, absoluteEnd: min(claims.sessionEnd ?? .max, overflow ? .max : end))
    }
}

/// What tells one session from another in tables and files: 128 bits of SHA-256 over all that its cookie holds.
struct SessionFingerprint: Sendable, Hashable {
    private let high: UInt64
    private let low: UInt64

    init(_ sealed: SealedSession) {
        self.init(Digest.sha256(sealed.bytes).prefix(16))
    }

    /// Of a session that is in no table.
    static let none = SessionFingerprint([])

    init?(text: String) {
        guard let bytes = Base64URL.decode(text), bytes.count == 16 else { return nil }
        self.init(bytes[...])
    }

    private init(_ bytes: ArraySlice<UInt8>) {
        high = bytes.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        low = bytes.dropFirst(8).reduce(0) { $0 << 8 | UInt64($1) }
    }

    var text: String {
        Base64URL.encode(
            [high, low].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> (56 - 8 * $0)) } })
    }
}

/// One live session, shared by all event loops: what the cookie says, when it was last used, whether it has ended.
/// Made by `SessionRegistry`. Any thread.
public final class Session: Sendable {
    /// What its cookie holds.
    public let sealed: SealedSession
    /// The header token that it was made from, if it is one of a single request.
    public let tokenID: String?
    let fingerprint: SessionFingerprint
    private let lastActivity: Atomic<Int64>
    private let end: Atomic<UInt8>
    private let used = Atomic<Bool>(false)
    private let evicted = Atomic<Bool>(false)
    /// The last activity that other processes were told of.
    private let shared = Atomic<Int64>(.min / 2)

    init(
        _ sealed: SealedSession, _ fingerprint: SessionFingerprint, tokenID: String? = nil, idleSince: Int64,
        ended: SessionEnd? = nil
    ) {
        self.sealed = sealed
        self.fingerprint = fingerprint
        self.tokenID = tokenID
        lastActivity = Atomic(idleSince)
        end = Atomic(ended?.rawValue ?? 0)
    }

    /// A session for one request of a program with a header token: no registry knows it, so it is bound by its end and
    /// the revocations alone.
    public static func transient(_ sealed: SealedSession, tokenID: String? = nil, now: Moment) -> Session {
        Session(sealed, .none, tokenID: tokenID, idleSince: now.steady)
    }

    /// The session's id, `sid`.
    public var id: String { sealed.id }
    /// The user, `sub`.
    public var user: String { sealed.user }
    /// The route's generation at launch.
    public var generation: String { sealed.generation }
    /// The one container it opens.
    public var vmid: UInt32 { sealed.vmid }
    /// The `iat` of the token it was made from, seconds since 1970.
    public var issuedAt: Int64 { sealed.issuedAt }
    /// When it ends whatever happens, seconds since 1970.
    public var absoluteEnd: Int64 { sealed.absoluteEnd }

    /// Notes activity at `now`, seconds of the steady clock. Nearly free when the second has not changed since the last
    /// call.
    public func touch(steady now: Int64) {
        // Loops may see the second turn at slightly different moments; losing one to the other does no harm.
        if now > lastActivity.load(ordering: .relaxed) { lastActivity.store(now, ordering: .relaxed) }
    }

    /// When it was last used, in seconds of the steady clock.
    public var idleSince: Int64 { lastActivity.load(ordering: .relaxed) }

    /// Whether a request has come with its cookie, here or at a process that shares `state`.
    public var isUsed: Bool { used.load(ordering: .relaxed) }

    /// Its cookie came back.
    public func markUsed() { used.store(true, ordering: .relaxed) }

    /// Why it ended; nil while it lives. It may also be over by the clock alone: see `check`.
    public var ended: SessionEnd? { SessionEnd(rawValue: end.load(ordering: .acquiring)) }

    /// Ends it. The first reason stays. To end one for good, across restarts, go through `SessionRegistry.end`.
    public func end(_ reason: SessionEnd) {
        _ = end.compareExchange(expected: 0, desired: reason.rawValue, ordering: .acquiringAndReleasing)
    }

    /// Why it is over at `now`, ending it when a clock says so; nil while it lives. Does not count as activity.
    public func check(now: Moment, idle: Int64) -> SessionEnd? {
        if let ended { return ended }
        if now.epoch >= absoluteEnd {
            end(.expired)
        } else if now.steady - idleSince >= idle {
            end(.idle)
        } else {
            return nil
        }
        return ended
    }

    /// The registry had no room for it: whoever holds it asks the registry whether it has ended.
    public var isEvicted: Bool { evicted.load(ordering: .relaxed) }

    func evict() { evicted.store(true, ordering: .relaxed) }

    /// The last activity, when other processes should hear of it: they have not, and the last they heard of is
    /// `interval` seconds old.
    func unshared(now: Int64, interval: Int64) -> Int64? {
        let (last, told) = (idleSince, shared.load(ordering: .relaxed))
        return last > told && now - told >= interval ? last : nil
    }

    func noteShared(_ activity: Int64) { shared.store(activity, ordering: .relaxed) }
}
