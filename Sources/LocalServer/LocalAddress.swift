public import Reactor
public import Wire

/// Where a `LocalServer` listens.
public enum LocalAddress: Sendable {
    /// A TCP address; port 0 takes a free one.
    case tcp(Endpoint)
    /// A listening TCP socket that was handed over.
    case inherited(ListeningSocket)
    /// A socket file, made with mode 0600. Only peers with uid 0 or ours are served.
    case unix(path: String)
}

/// The bounds of a `LocalServer`. It serves operators and the demo, not the internet, so they are few.
public struct LocalLimits: Sendable {
    /// Connections at once, each with a thread of its own; one more is answered 503 and closed.
    public var connections = 64
    /// Bytes of a request's head.
    public var headBytes = 32 * 1024
    /// Fields of a request's head.
    public var headFields = 100
    /// Whether a request without Host, or with a wrong one, is refused. The checks of load balancers have none.
    public var requiresHost = true
    /// From a head's first byte to its last, in ms.
    public var headMs: UInt64 = 10_000
    /// Between requests of one connection, in ms.
    public var keepAliveMs: UInt64 = 75_000
    /// The longest pause inside a body or a WebSocket message, in either direction, in ms.
    public var stallMs: UInt64 = 30_000
    /// Bytes of one WebSocket message, over all its fragments.
    public var messageBytes = 16 * 1024 * 1024

    /// The defaults.
    public init() {}
}
