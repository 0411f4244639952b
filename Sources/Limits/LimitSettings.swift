public import Wire

/// Every bound the operator may move, with its default. Times are in milliseconds and say so; sizes are in bytes.
public struct LimitSettings: Sendable, Equatable {
    /// Request heads, counted before anything is stored.
    public struct Headers: Sendable, Equatable {
        /// Bytes of a head, request line included.
        public var bytes = 32 << 10
        /// Fields of a head.
        public var fields = 100
        /// From the first byte of a head to its last, and from the handshake to the first head's last byte.
        public var timeoutMs = 10_000
    }

    /// What HTTP/1 framing may carry beside the body.
    public struct Framing: Sendable, Equatable {
        /// Extension bytes of one chunk.
        public var chunkExtension = 256
        /// Extension bytes of a body.
        public var extensions = 16 << 10
        /// Trailer bytes of a body.
        public var trailers = 8 << 10
        /// Empty lines before a request.
        public var emptyLines = 2
    }

    /// The slowest request body.
    public struct Body: Sendable, Equatable {
        /// Bytes a second; 0 for any.
        public var minimumRate = 256
        /// Over which time that is measured.
        public var overMs = 30_000

        /// Bytes that must come within `overMs`.
        public var leastBytes: UInt64 { UInt64(minimumRate) * UInt64(overMs) / 1000 }
    }

    /// TLS with clients.
    public struct TLS: Sendable, Equatable {
        /// From accept to the end of the handshake.
        public var handshakeMs = 10_000
        /// TLS 1.3 key updates a client may ask for.
        public var keyUpdates = Rate(count: 10)
    }

    /// HTTP/2 with clients.
    public struct HTTP2: Sendable, Equatable {
        /// Concurrent streams of a connection.
        public var streams = 250
        /// Resets, pings, settings and other frames that only make work.
        public var abuse = Rate(count: 1000, perSeconds: 10)
        /// Receive window of a connection.
        public var window = 1 << 20
        /// Bytes queued towards a client before its upstreams are no longer read.
        public var queued = 256 << 10
        /// New streams of a connection in one turn of the loop.
        public var perTurn = 32
    }

    /// Connections to containers.
    public struct Upstream: Sendable, Equatable {
        /// To connect, and to wait for a free connection.
        public var connectMs = 3_000
        /// From the request's end to the head of its answer.
        public var responseMs = 60_000
        /// Bytes of an answer's head.
        public var head = 64 << 10
        /// Fields of an answer's head.
        public var fields = 200
        /// Interim (1xx) answers to one request.
        public var interim = 16
        /// How long an unused connection is kept, if the container's `Keep-Alive` names no shorter time.
        public var idleMs = 15_000
        /// Exchanges that one container has yet to answer.
        public var perVMID = 64
        /// How many more may wait for one of these.
        public var queue = 256
        /// Tunnels to one container at once, and answers that last over 2 s.
        public var streamsPerVMID = 4096
    }

    /// How long a tunnel may be silent; 0 for ever.
    public struct TunnelIdle: Sendable, Equatable {
        /// WebSockets.
        public var websocketMs = 0
        /// Minecraft connections.
        public var minecraftMs = 5 * 60_000
    }

    /// What counts as one source.
    public struct Source: Sendable, Equatable {
        /// Leading bits of an IPv4 address.
        public var ipv4 = 32
        /// Leading bits of an IPv6 address.
        public var ipv6 = 64
        /// Sources remembered; all others share one bucket.
        public var tracked = 65_536
    }

    /// HTTPS, per source.
    public struct HTTPS: Sendable, Equatable {
        /// Connections at once.
        public var connections = 1024
        /// New connections.
        public var connects = Rate(count: 100)
        /// New connections at once after a quiet time.
        public var burst = 200
        /// Answers 401 and 403.
        public var unauthenticated = Rate(count: 10)
        /// These at once after a quiet time.
        public var unauthenticatedBurst = 50
    }

    /// Minecraft, per source.
    public struct Minecraft: Sendable, Equatable {
        /// Connections at once.
        public var connections = 128
        /// New connections.
        public var connects = Rate(count: 20)
        /// New connections at once after a quiet time.
        public var burst = 60
        /// Status requests.
        public var status = Rate(count: 10)
        /// These at once after a quiet time.
        public var statusBurst = 60
        /// Logins.
        public var login = Rate(count: 2)
        /// These at once after a quiet time.
        public var loginBurst = 10
        /// From accept to Login Start.
        public var handshakeMs = 5_000
    }

    /// When a source is shut out for a while.
    public struct Penalty: Sendable, Equatable {
        /// The score that does it.
        public var score = 20
        /// In which time a score halves.
        public var halfLifeMs = 60_000
        /// For how long the source is shut out.
        public var blockMs = 5 * 60_000
    }

    /// Request heads.
    public var headers = Headers()
    /// HTTP/1 framing.
    public var framing = Framing()
    /// Request bodies.
    public var body = Body()
    /// How long a client may take less than 1 KiB of an answer that waits for it.
    public var responseStallMs = 2 * 60_000
    /// How long an idle client connection is kept.
    public var keepAliveMs = 75_000
    /// TLS with clients.
    public var tls = TLS()
    /// HTTP/2 with clients.
    public var http2 = HTTP2()
    /// Connections to containers.
    public var upstream = Upstream()
    /// Silent tunnels.
    public var tunnelIdle = TunnelIdle()
    /// Bytes buffered per direction of a stream or tunnel.
    public var buffer = 64 << 10
    /// Bytes in all; nil is `auto`, 60 % of the cgroup's or the machine's.
    public var memory: Int?
    /// Connections in all; nil is `auto`, (RLIMIT_NOFILE − 256) / 2.
    public var connections: Int?
    /// What counts as one source.
    public var source = Source()
    /// HTTPS, per source.
    public var https = HTTPS()
    /// Minecraft, per source.
    public var minecraft = Minecraft()
    /// When a source is shut out.
    public var penalty = Penalty()
    /// The share of 20 or more routes a reload may remove, 0 to 1.
    public var reloadRemoves = 0.5
    /// How long SIGTERM gives to what is open.
    public var drainMs = 30_000
    /// How long a replaced process may serve its tunnels.
    public var upgradeLingerMs = 12 * 3_600_000
    /// Blocks that per-source limits and penalties skip.
    public var exempt: [CIDR] = []

    /// The defaults.
    public init() {}
}

/// How often something may happen.
public struct Rate: Sendable, Equatable {
    /// How many times …
    public var count: Int
    /// … in how many seconds; more than 0.
    public var perSeconds: Double

    /// `count` in `perSeconds` seconds.
    public init(count: Int, perSeconds: Double = 1) {
        self.count = count
        self.perSeconds = perSeconds
    }
}
