import Wire

/// A label with a fixed set of values. `count` cells are counted, one a case.
protocol MetricLabel: CaseIterable, RawRepresentable<UInt8> {
    var label: StaticString { get }
}

extension MetricLabel {
    static var count: Int { allCases.count }
}

/// Where a connection came in (`listener`).
public enum ListenerLabel: UInt8, CaseIterable, Sendable, MetricLabel {
    case https, http, minecraft
    /// What is refused to the operator.
    case admin

    /// Those that carry clients' traffic.
    static let fronts: [ListenerLabel] = [.https, .http, .minecraft]

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .https: "https"
        case .http: "http"
        case .minecraft: "minecraft"
        case .admin: "admin"
        }
    }
}

/// What a request was spoken in (`protocol`).
public enum HTTPProtocol: UInt8, CaseIterable, Sendable, MetricLabel {
    case http1, h2

    /// The label's value, as ALPN names it.
    public var label: StaticString {
        switch self {
        case .http1: "http/1.1"
        case .h2: "h2"
        }
    }
}

/// What a tunnel carries (`kind`).
public enum TunnelKind: UInt8, CaseIterable, Sendable, MetricLabel {
    case websocket, minecraft

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .websocket: "websocket"
        case .minecraft: "minecraft"
        }
    }
}

/// Which way bytes went, seen from the gateway's client side (`direction`).
public enum Direction: UInt8, CaseIterable, Sendable, MetricLabel {
    /// From the client.
    case received
    /// To the client.
    case sent

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .received: "in"
        case .sent: "out"
        }
    }
}

/// The version a handshake agreed on (`version`).
public enum TLSVersionLabel: UInt8, CaseIterable, Sendable, MetricLabel {
    /// None was agreed on: it failed before.
    case none
    case tls12, tls13

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .none: "none"
        case .tls12: "1.2"
        case .tls13: "1.3"
        }
    }
}

/// How a TLS handshake ended (`result`).
public enum HandshakeResult: UInt8, CaseIterable, Sendable, MetricLabel {
    case ok, failed, timeout
    /// The client left without a byte: a probe.
    case closed

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .ok: "ok"
        case .failed: "failed"
        case .timeout: "timeout"
        case .closed: "closed"
        }
    }
}

/// How a launch ended (`result`).
public enum LaunchResult: UInt8, CaseIterable, Sendable, MetricLabel {
    case ok
    /// The same token again, with the live session made from it.
    case repeated
    case expired, spent
    /// Signed, but not for this container.
    case wrongContainer
    /// Not a token that one of our keys signed.
    case invalid
    case revoked
    /// No route yet, or another generation: the page retries.
    case waiting
    case prefetch, limited

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .ok: "ok"
        case .repeated: "repeated"
        case .expired: "expired"
        case .spent: "spent"
        case .wrongContainer: "wrong_container"
        case .invalid: "invalid"
        case .revoked: "revoked"
        case .waiting: "waiting"
        case .prefetch: "prefetch"
        case .limited: "limited"
        }
    }
}

/// What a player's connection wanted (`intent`).
public enum MinecraftIntent: UInt8, CaseIterable, Sendable, MetricLabel {
    case status, login, transfer
    /// A ping of clients before 1.7.
    case legacy
    /// It ended before it said.
    case none

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .status: "status"
        case .login: "login"
        case .transfer: "transfer"
        case .legacy: "legacy"
        case .none: "none"
        }
    }
}

/// How a player's connection ended its handshake (`result`).
public enum MinecraftResult: UInt8, CaseIterable, Sendable, MetricLabel {
    /// Served: a tunnel, or a status answer of a backend.
    case ok
    case unknownHost, offline, full, draining, limited, malformed, forged, timeout, blocked
    /// The client left before it was served.
    case closed

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .ok: "ok"
        case .unknownHost: "unknown_host"
        case .offline: "offline"
        case .full: "full"
        case .draining: "draining"
        case .limited: "limited"
        case .malformed: "malformed"
        case .forged: "forged"
        case .timeout: "timeout"
        case .blocked: "blocked"
        case .closed: "closed"
        }
    }
}

/// How a reload ended (`result`).
public enum ReloadResult: UInt8, CaseIterable, Sendable, MetricLabel {
    case ok, unchanged, refused

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .ok: "ok"
        case .unchanged: "unchanged"
        case .refused: "refused"
        }
    }
}

/// What a route leads to (`kind`).
public enum RouteKind: UInt8, CaseIterable, Sendable, MetricLabel {
    case ide, minecraft

    /// The label's value.
    public var label: StaticString {
        switch self {
        case .ide: "ide"
        case .minecraft: "minecraft"
        }
    }
}
