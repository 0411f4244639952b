import Identity
import Wire

/// Why the gateway ends a tunnel itself.
enum TunnelEnd: Sendable {
    case session(SessionEnd)
    case routeChanged
    case drain
    case idle

    /// The WebSocket close code (RFC 6455 section 7.4.1, RFC 6455 registry for 1012).
    var code: UInt16 {
        switch self {
        case .session: 1008
        case .routeChanged: 1012
        case .drain, .idle: 1001
        }
    }

    /// Whether the client has lost the right to say anything more to the container.
    var stopsClient: Bool {
        switch self {
        case .session, .routeChanged: true
        case .drain, .idle: false
        }
    }

    var reason: StaticString {
        switch self {
        case .session(.revoked): "session revoked"
        case .session(.loggedOut): "logged out"
        case .session(.expired): "session expired"
        case .session(.idle): "session idle"
        case .session(.generation): "container replaced"
        case .routeChanged: "container moved or replaced"
        case .drain: "gateway restarting"
        case .idle: "idle"
        }
    }
}

/// An upgraded connection as far as it has gone.
struct TunnelState: Sendable {
    var openedUs: UInt64 = 0
    var activeMs: UInt64 = 0
    /// From and to the client.
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    /// Container to client: where a frame of ours may go.
    var tracker = FrameTracker()
    /// Bytes that the tracker has seen and the client has not taken yet.
    var ahead = 0
    var closing: TunnelEnd?
    var clientEnded = false
    var upstreamEnded = false

    /// Whether the client has whole frames, so that one of ours may follow.
    var isAtBoundary: Bool { tracker.isAtBoundary && ahead == 0 }
}

/// What the access log says of a tunnel's end.
enum TunnelOutcome {
    case clientClosed, upstreamClosed, broken, ended(TunnelEnd)

    var label: StaticString {
        switch self {
        case .clientClosed: "client_closed"
        case .upstreamClosed: "upstream_closed"
        case .broken: "broken"
        case .ended(.session(.revoked)): "revoked"
        case .ended(.session(.loggedOut)): "logged_out"
        case .ended(.session(.expired)): "expired"
        case .ended(.session(.idle)): "idle"
        case .ended(.session(.generation)): "generation"
        case .ended(.routeChanged): "route_changed"
        case .ended(.drain): "drain"
        case .ended(.idle): "tunnel_idle.websocket"
        }
    }
}
