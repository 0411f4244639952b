public import Limits
public import Routing
public import Wire

/// `edge.yaml` as values: every key with its default, every path absolute. Read whole and validated before anyone
/// sees it; any thread may hold it.
public struct EdgeConfig: Sendable, Equatable {
    /// Where the gateway listens.
    public struct Listen: Sendable, Equatable {
        /// The IDE front.
        public var https = [Endpoint(address: .anyIPv4, port: 443), Endpoint(address: .anyIPv6, port: 443)]
        /// Answers 308 to https only.
        public var http: [Endpoint] = []
        /// Minecraft players.
        public var minecraft: [Endpoint] = []
        /// `/metrics`, `/healthz`, `/readyz`; nil when switched off.
        public var metrics: Endpoint? = Endpoint(address: IPAddress(ipv4: 0x7f00_0001), port: 9180)
        /// The admin socket, an absolute path.
        public var admin = "/run/zlh-edge/admin.sock"

        /// The defaults.
        public init() {}
    }

    /// A certificate chain and its private key, both PEM, by absolute path.
    public struct CertificateFiles: Sendable, Equatable {
        /// The chain, leaf first.
        public var certificate: String
        /// The key.
        public var key: String

        /// Two absolute paths.
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    /// TLS with browsers.
    public struct TLS: Sendable, Equatable {
        /// At least one; the first is used when none fits the name.
        public var certificates: [CertificateFiles] = []
        /// The oldest version spoken, `"1.2"` or `"1.3"`.
        public var minimum = "1.2"

        /// TLS 1.2 and no certificate.
        public init() {}
    }

    /// Who may launch an IDE.
    public struct Launch: Sendable, Equatable {
        /// The JWKS file, absolute.
        public var keysPath = ""
        /// The `iss` a token must have.
        public var issuer = "zlh-api"
        /// The `aud` a token must have.
        public var audience = "zlh-edge"
        /// The longest `exp - iat` taken, in seconds.
        public var lifetimeAtMost: Int64 = 300
        /// By how many seconds clocks may differ.
        public var skew: Int64 = 30

        /// The defaults.
        public init() {}
    }

    /// How long a session lasts, in seconds.
    public struct Session: Sendable, Equatable {
        /// From launch.
        public var absolute: Int64 = 12 * 3600
        /// Without a byte of traffic.
        public var idle: Int64 = 2 * 3600

        /// The defaults.
        public init() {}
    }

    /// The IDE front.
    public struct IDE: Sendable, Equatable {
        /// The container numbers there may be.
        public var vmids: ClosedRange<UInt32> = 1...999_999_999
        /// Where to log in, with `{vmid}`, `{next}` and `{reason}`; empty for none.
        public var loginURL = ""
        /// Launch tokens.
        public var launch = Launch()
        /// Sessions.
        public var session = Session()
        /// Whether answers are compressed for clients that take gzip, where that is safe and gains something.
        public var compression = true

        /// The defaults.
        public init() {}
    }

    /// The Minecraft front.
    public struct Minecraft: Sendable, Equatable {
        /// When a backend is in rotation.
        public struct Health: Sendable, Equatable {
            /// Between two pings.
            public var intervalMs = 5_000
            /// For one ping.
            public var timeoutMs = 2_000
            /// Failures in a row that take it out.
            public var fall = 2
            /// Successes in a row that bring it back.
            public var rise = 1
            /// Over which time it gets its full share again.
            public var slowStartMs = 30_000

            /// The defaults.
            public init() {}
        }

        /// What players read.
        public struct Messages: Sendable, Equatable {
            /// No route for the host.
            public var unknownHost = ChatText.plain("Unknown server: check the address")
            /// No backend answers.
            public var offline = ChatText.plain("This server is offline")
            /// The route's cap is reached.
            public var full = ChatText.plain("This server is full")
            /// The gateway or the backend goes down.
            public var draining = ChatText.plain("Restarting, please reconnect in a minute")
            /// A limit; `{seconds}` is the time to wait.
            public var limited = ChatText.plain("Too many connections, try again in {seconds} s")

            /// The defaults.
            public init() {}
        }

        /// Active health checks.
        public var health = Health()
        /// Whether names of players are logged.
        public var logPlayerNames = false
        /// What players read.
        public var messages = Messages()

        /// The defaults.
        public init() {}
    }

    /// How much is logged.
    public enum LogLevel: String, Sendable, CaseIterable, Comparable {
        /// Everything.
        case debug
        /// What an operator wants to know later.
        case info
        /// What an operator should look at.
        case warning
        /// What does not work.
        case error

        /// By severity.
        public static func < (a: LogLevel, b: LogLevel) -> Bool {
            allCases.firstIndex(of: a)! < allCases.firstIndex(of: b)!
        }
    }

    /// The log on standard output.
    public struct Log: Sendable, Equatable {
        /// The least severe line that is written.
        public var level = LogLevel.info
        /// Whether there is a line for each request and tunnel.
        public var access = true

        /// The defaults.
        public init() {}
    }

    /// Lower-case; IDEs are at `dev-<vmid>.<domain>`.
    public var domain = "zerolaghub.dev"
    /// The state folder, absolute.
    public var statePath = "/var/lib/zlh-edge"
    /// The routes file, absolute.
    public var routesPath = ""
    /// Event loops; `auto` has become the number of CPUs this process may use.
    public var threads = 1
    /// What may be dialled.
    public var upstreams: [CIDR] = ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"].compactMap { CIDR($0) }
    /// Where the gateway listens.
    public var listen = Listen()
    /// TLS with browsers.
    public var tls = TLS()
    /// The IDE front.
    public var ide = IDE()
    /// The Minecraft front.
    public var minecraft = Minecraft()
    /// Who must speak the PROXY protocol to us; nobody else may.
    public var trustedProxies: [CIDR] = []
    /// The bounds.
    public var limits = LimitSettings()
    /// The log.
    public var log = Log()
    /// What is odd in the file.
    public var warnings: [ConfigProblem] = []

    /// The defaults, with empty paths where the default is relative to the file.
    public init() {}
}

extension IPAddress {
    fileprivate static let anyIPv4 = IPAddress(ipv4: 0)
    fileprivate static let anyIPv6 = IPAddress(high: 0, low: 0)
}
