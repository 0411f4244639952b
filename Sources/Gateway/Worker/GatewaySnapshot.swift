public import Identity
public import Limits
public import Routing
import Synchronization
public import Wire

/// What the operator set, as the data path needs it. Immutable; a reload makes another.
public struct GatewaySettings: Sendable {
    /// Which hosts are ours.
    public var domain: DevDomain
    /// The domain as text, lower-case.
    public var domainText: String
    /// Where to send a browser without a session; empty for a page instead.
    public var loginURL: String
    /// How long sessions live.
    public var session: SessionLimits
    /// Every bound.
    public var limits: LimitSettings
    /// Whether answers carry `Strict-Transport-Security`; a demo does not.
    public var sendsHSTS: Bool
    /// Whether answers may be compressed for clients.
    public var compresses: Bool
    /// Whether each request is logged.
    public var logsAccess: Bool
    /// Who must speak PROXY protocol, and nobody else may.
    public var trustedProxies: [CIDR]

    /// All settings by name.
    public init(
        domain: DevDomain, domainText: String, loginURL: String, session: SessionLimits, limits: LimitSettings,
        sendsHSTS: Bool, compresses: Bool, logsAccess: Bool, trustedProxies: [CIDR]
    ) {
        self.domain = domain
        self.domainText = domainText
        self.loginURL = loginURL
        self.session = session
        self.limits = limits
        self.sendsHSTS = sendsHSTS
        self.compresses = compresses
        self.logsAccess = logsAccess
        self.trustedProxies = trustedProxies
    }
}

/// One immutable, validated version of everything a request is decided by. Loops swap it between events.
public final class GatewaySnapshot: Sendable {
    private static let made = Atomic<UInt64>(0)

    /// Grows with each one made, so that two are compared by a number.
    let version = GatewaySnapshot.made.add(1, ordering: .relaxed).newValue
    /// What the operator set.
    public let settings: GatewaySettings
    /// The routes.
    public let routes: RouteTable
    /// Keys and rules of launch tokens.
    public let verifier: LaunchVerifier
    /// Both lists of revocations as one.
    public let revocations: Revocations

    /// One version.
    public init(settings: GatewaySettings, routes: RouteTable, verifier: LaunchVerifier, revocations: Revocations) {
        self.settings = settings
        self.routes = routes
        self.verifier = verifier
        self.revocations = revocations
    }
}
