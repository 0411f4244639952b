public import Limits
public import Routing
public import Wire

/// When a backend is in rotation (`minecraft.health`).
public struct HealthSettings: Sendable, Equatable {
    /// Between two pings.
    public var intervalMs: Int
    /// For one ping.
    public var timeoutMs: Int
    /// Failures in a row that take it out.
    public var fall: Int
    /// Successes in a row that bring it back.
    public var rise: Int
    /// Over which time it gets its full share again.
    public var slowStartMs: Int

    /// Health settings; whatever is left out has its default.
    public init(
        intervalMs: Int = 5000, timeoutMs: Int = 2000, fall: Int = 2, rise: Int = 1, slowStartMs: Int = 30_000
    ) {
        self.intervalMs = intervalMs
        self.timeoutMs = timeoutMs
        self.fall = fall
        self.rise = rise
        self.slowStartMs = slowStartMs
    }
}

/// What players read when they are refused (`minecraft.messages`).
public struct PlayerMessages: Sendable, Equatable {
    /// No route for the host.
    public var unknownHost: ChatText
    /// No backend answers.
    public var offline: ChatText
    /// The route's cap is reached.
    public var full: ChatText
    /// The gateway or all of the route's backends go down.
    public var draining: ChatText
    /// A limit; `{seconds}` is the time to wait.
    public var limited: ChatText

    /// The five messages.
    public init(unknownHost: ChatText, offline: ChatText, full: ChatText, draining: ChatText, limited: ChatText) {
        self.unknownHost = unknownHost
        self.offline = offline
        self.full = full
        self.draining = draining
        self.limited = limited
    }
}

/// What the operator set, as the Minecraft data path needs it. Immutable; a reload makes another.
public struct MinecraftSettings: Sendable {
    /// Every bound.
    public var limits: LimitSettings
    /// Active health checks.
    public var health: HealthSettings
    /// What players read.
    public var messages: PlayerMessages
    /// Whether names of players are logged.
    public var logsPlayerNames: Bool
    /// Whether each connection is logged.
    public var logsAccess: Bool
    /// Who must speak PROXY protocol, and nobody else may.
    public var trustedProxies: [CIDR]

    /// All settings by name.
    public init(
        limits: LimitSettings, health: HealthSettings, messages: PlayerMessages, logsPlayerNames: Bool,
        logsAccess: Bool, trustedProxies: [CIDR]
    ) {
        self.limits = limits
        self.health = health
        self.messages = messages
        self.logsPlayerNames = logsPlayerNames
        self.logsAccess = logsAccess
        self.trustedProxies = trustedProxies
    }
}

extension ChatText {
    /// The chat component as JSON.
    var json: String {
        switch self {
        case .plain(let text): MinecraftReply.component(text)
        case .component(let json): json
        }
    }

    /// With the time to wait in place of `{seconds}`.
    func waiting(_ seconds: Int) -> ChatText {
        switch self {
        case .plain(let text): .plain(text.replacing("{seconds}", with: "\(seconds)"))
        case .component(let json): .component(json.replacing("{seconds}", with: "\(seconds)"))
        }
    }

    /// For clients that show no components.
    var plainText: String {
        switch self {
        case .plain(let text): return text
        case .component(let json):
            let bytes = Array("{\"description\":\(json)}".utf8)
            guard let status = MinecraftStatus(bytes.span) else { return "" }
            return status.plainText(bytes.span, status.descriptionRange)
        }
    }
}
