public import Wire

/// Where players who asked for one host name are sent.
public struct MinecraftRoute: Sendable, Equatable {
    /// One game server or Velocity proxy.
    public struct Backend: Sendable, Equatable {
        /// What is dialled.
        public var endpoint: Endpoint
        /// Its share of new players relative to its neighbours, at least 1.
        public var weight: Int

        /// A backend.
        public init(endpoint: Endpoint, weight: Int = 1) {
            self.endpoint = endpoint
            self.weight = weight
        }
    }

    /// What stands behind the route; only changes what `check` warns of.
    public enum Kind: String, Sendable, CaseIterable {
        /// A Velocity proxy.
        case velocity
        /// A game server.
        case direct
    }

    /// How a backend is chosen.
    public enum Balance: String, Sendable, CaseIterable {
        /// The fewest connections relative to the weight.
        case leastConnections = "least_connections"
        /// In turn.
        case roundRobin = "round_robin"
        /// The same source gets the same backend.
        case sourceHash = "source_hash"
    }

    /// The PROXY protocol header sent to the backend.
    public enum ProxyProtocol: String, Sendable, CaseIterable {
        /// None.
        case none
        /// The text form.
        case v1
        /// The binary form.
        case v2
    }

    /// How it is told whether a backend may get players.
    public enum Health: String, Sendable, CaseIterable {
        /// By a status ping.
        case status
        /// By a connect alone, for servers that answer no ping.
        case connect
        /// Not at all: every backend counts as there.
        case none
    }

    /// Lower-case: an exact host, `*.suffix`, or `*` for all that has no better route.
    public var host: String
    /// What stands behind it.
    public var kind: Kind
    /// At least one.
    public var backends: [Backend]
    /// How one of them is chosen.
    public var balance: Balance
    /// What the backend is told about the client.
    public var proxyProtocol: ProxyProtocol
    /// How backends are checked.
    public var health: Health
    /// Players at once; 0 is no cap.
    public var maximumPlayers: Int
    /// What the server list shows while no backend answers, if the route has a text of its own.
    public var offlineMotd: ChatText?
    /// What a player who joins reads while no backend answers, if the route has a text of its own.
    public var offlineKick: ChatText?

    /// A route with the defaults of the routes file.
    public init(
        host: String, kind: Kind = .velocity, backends: [Backend], balance: Balance = .leastConnections,
        proxyProtocol: ProxyProtocol = .none, health: Health = .status, maximumPlayers: Int = 0,
        offlineMotd: ChatText? = nil, offlineKick: ChatText? = nil
    ) {
        self.host = host
        self.kind = kind
        self.backends = backends
        self.balance = balance
        self.proxyProtocol = proxyProtocol
        self.health = health
        self.maximumPlayers = maximumPlayers
        self.offlineMotd = offlineMotd
        self.offlineKick = offlineKick
    }
}
