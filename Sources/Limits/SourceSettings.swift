public import Wire

/// Which listener a connection came in by. Connections, connect rates, penalties and blocks are kept apart by it.
public enum ListenerKind: UInt8, Sendable, CaseIterable {
    /// The HTTPS front.
    case https
    /// The Minecraft front.
    case minecraft
}

/// What one source may do at one kind of listener (`limits.https`, `limits.minecraft`). 0 limits nothing.
public struct KindLimits: Sendable, Equatable {
    /// Connections open at once.
    public var connections: Int
    /// New connections a second, sustained.
    public var connectsPerSecond: Double
    /// New connections at once.
    public var connectBurst: Double
    /// HTTPS: answers 401 and 403.
    public var unauthenticated: TokenRate
    /// Minecraft: status requests.
    public var status: TokenRate
    /// Minecraft: logins and transfers.
    public var login: TokenRate

    /// Limits for one kind; the buckets that the kind does not use stay unlimited.
    public init(
        connections: Int, connectsPerSecond: Double, connectBurst: Double, unauthenticated: TokenRate = .unlimited,
        status: TokenRate = .unlimited, login: TokenRate = .unlimited
    ) {
        self.connections = connections
        self.connectsPerSecond = connectsPerSecond
        self.connectBurst = connectBurst
        self.unauthenticated = unauthenticated
        self.status = status
        self.login = login
    }

    var connects: TokenRate { TokenRate(perSecond: connectsPerSecond, burst: connectBurst) }

    /// The defaults of `limits.https`.
    public static let https = KindLimits(
        connections: 1024, connectsPerSecond: 100, connectBurst: 200,
        unauthenticated: TokenRate(perSecond: 10, burst: 50))

    /// The defaults of `limits.minecraft`.
    public static let minecraft = KindLimits(
        connections: 128, connectsPerSecond: 20, connectBurst: 60,
        status: TokenRate(perSecond: 10, burst: 60), login: TokenRate(perSecond: 2, burst: 10))
}

/// What a source can do that honest software does not.
public enum Misdeed: UInt8, Sendable, CaseIterable {
    /// Bytes that are not the protocol.
    case malformed
    /// A Minecraft handshake that claims another's identity.
    case forgedForwarding
    /// A launch token whose signature does not hold.
    case badSignature
    /// A handshake that did not end in time.
    case slowHandshake
    /// A host that nothing is served for.
    case unknownHost
}

/// How much each misdeed adds to a source's penalty score.
public struct MisdeedWeights: Sendable, Equatable {
    /// Points for bytes that are not the protocol.
    public var malformed = 4.0
    /// Points for a forged identity.
    public var forgedForwarding = 10.0
    /// Points for a bad signature.
    public var badSignature = 4.0
    /// Points for a handshake that did not end in time.
    public var slowHandshake = 1.0
    /// Points for an unknown host.
    public var unknownHost = 0.2

    /// The default weights.
    public init() {}

    /// The points of `misdeed`.
    public subscript(misdeed: Misdeed) -> Double {
        switch misdeed {
        case .malformed: malformed
        case .forgedForwarding: forgedForwarding
        case .badSignature: badSignature
        case .slowHandshake: slowHandshake
        case .unknownHost: unknownHost
        }
    }
}

/// Everything the source table is told by the configuration (`limits.source`, `.https`, `.minecraft`, `.penalty`,
/// `.exempt`).
public struct SourceSettings: Sendable {
    /// Leading bits of an IPv4 address that make a source.
    public var ipv4Bits: Int
    /// Leading bits of an IPv6 address that make a source.
    public var ipv6Bits: Int
    /// Sources remembered at most. Read when the table is made; a reload does not resize it.
    public var tracked: Int
    /// Connections open at once at all kinds of listener together, so that one source never takes every place of the
    /// process; 0 limits nothing.
    public var places: Int
    /// Addresses that no limit of a source and no penalty applies to.
    public var exempt: [CIDR]
    /// Limits at the HTTPS listeners.
    public var https: KindLimits
    /// Limits at the Minecraft listeners.
    public var minecraft: KindLimits
    /// The score from which a source is blocked; 0 blocks nobody.
    public var penaltyScore: Double
    /// Milliseconds in which a score falls to half.
    public var halfLifeMs: Int64
    /// Milliseconds a block lasts.
    public var blockMs: Int64
    /// Points of each misdeed.
    public var weights: MisdeedWeights

    /// Settings; whatever is left out has its default.
    public init(
        ipv4Bits: Int = 32, ipv6Bits: Int = 64, tracked: Int = 65536, places: Int = 0, exempt: [CIDR] = [],
        https: KindLimits = .https, minecraft: KindLimits = .minecraft, penaltyScore: Double = 20,
        halfLifeMs: Int64 = 60_000, blockMs: Int64 = 300_000, weights: MisdeedWeights = .init()
    ) {
        self.ipv4Bits = ipv4Bits
        self.ipv6Bits = ipv6Bits
        self.tracked = tracked
        self.places = places
        self.exempt = exempt
        self.https = https
        self.minecraft = minecraft
        self.penaltyScore = penaltyScore
        self.halfLifeMs = halfLifeMs
        self.blockMs = blockMs
        self.weights = weights
    }

    /// The limits of one kind.
    public subscript(kind: ListenerKind) -> KindLimits {
        kind == .https ? https : minecraft
    }

    func isExempt(_ address: IPAddress) -> Bool {
        for block in exempt where block.contains(address) { return true }
        return false
    }
}
