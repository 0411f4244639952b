import HTTP2
import Identity
import Observe
import Wire

/// Everything that can end a request other than the container's answer. One closed list: `Exchange.fail` turns each
/// into an answer, the access log and the metrics take its `reason`.
enum GatewayFailure: Error, Sendable {
    /// Breaks HTTP's grammar, or a bound of its framing that has a name of its own; HTTP/1 closes.
    case badRequest(StaticString, RefusalReason = .badRequest)
    /// A transfer coding or method that is not served.
    case notImplemented(StaticString)
    /// A method that is not served here; the value of `Allow`.
    case methodNotAllowed(allow: StaticString)
    /// Not a `dev-<vmid>` host of ours.
    case misdirected
    /// The head is over `headers.bytes` or has too many fields; `clearsCookies` when cookies are to blame.
    case headTooLarge(RefusalReason, clearsCookies: Bool)
    /// A launch form over 8 KiB.
    case payloadTooLarge
    /// The client was too slow with head or body.
    case requestTimeout(RefusalReason)
    /// A limit; how many seconds until it may be tried again.
    case limited(RefusalReason, retryAfterSeconds: Int)
    /// Memory is short, or too many wait for this container.
    case overloaded(RefusalReason)
    /// No session for this vmid, and why the last one ended.
    case unauthorized(LoginReason)
    /// Cross-site, or a launch that is refused; the line a person reads.
    case forbidden(StaticString)
    /// The session's vmid is not in the routes: deleted, or missing for a moment. Only a navigation gets a 404, because
    /// programs take that for an answer of the IDE's and ask again at once.
    case noSuchIDE(isNavigation: Bool)
    /// The container's address changed while the request waited to be sent there.
    case moved
    /// A launch that may succeed once the routes know of it; until when the page keeps trying, seconds since 1970.
    case notYetRouted(until: Int64)
    /// Two vmids claim one address.
    case routeConflict
    /// Nobody listens there, or there is no way there.
    case unreachable
    /// The container closed early or answered nonsense.
    case badGateway(StaticString)
    /// The container took too long.
    case upstreamTimeout
    /// A browser's prefetch of a launch: nothing was spent.
    case prefetch
    /// A launch within another page, where its cookie would not be kept: nothing was spent. What opens it in a tab, as HTML.
    case framedLaunch(TabOffer)
    /// An unknown path under `/.zlh/`.
    case notFound
    /// The gateway is going down.
    case draining

    var status: UInt16 {
        switch self {
        case .badRequest: 400
        case .notImplemented: 501
        case .methodNotAllowed: 405
        case .misdirected: 421
        case .headTooLarge: 431
        case .payloadTooLarge: 413
        case .requestTimeout: 408
        case .limited: 429
        case .unauthorized: 401
        case .forbidden, .framedLaunch: 403
        case .noSuchIDE(isNavigation: true), .notYetRouted, .notFound: 404
        case .noSuchIDE, .moved, .routeConflict, .unreachable, .overloaded, .prefetch, .draining: 503
        case .badGateway: 502
        case .upstreamTimeout: 504
        }
    }

    /// The word that programs find under `error` in the JSON.
    var error: StaticString {
        switch self {
        case .badRequest, .notImplemented: "bad_request"
        case .methodNotAllowed: "method_not_allowed"
        case .misdirected: "misdirected"
        case .headTooLarge, .payloadTooLarge: "too_large"
        case .requestTimeout: "timeout"
        case .limited, .overloaded: "limited"
        case .unauthorized: "unauthorized"
        case .forbidden, .framedLaunch: "forbidden"
        case .noSuchIDE, .notYetRouted: "no_such_ide"
        case .routeConflict: "route_conflict"
        case .moved, .unreachable, .prefetch, .draining: "unreachable"
        case .badGateway: "bad_gateway"
        case .upstreamTimeout: "upstream_timeout"
        case .notFound: "not_found"
        }
    }

    /// What the metrics count it under: the limit's name, or the error.
    var reason: RefusalReason {
        switch self {
        case .badRequest(_, let reason): reason
        case .notImplemented: .badRequest
        case .methodNotAllowed: .methodNotAllowed
        case .misdirected: .misdirected
        case .headTooLarge(let reason, _): reason
        case .payloadTooLarge: .tooLarge
        case .requestTimeout(let reason): reason
        case .limited(let reason, _): reason
        case .overloaded(let reason): reason
        case .unauthorized: .unauthorized
        case .forbidden, .framedLaunch: .forbidden
        case .noSuchIDE, .notYetRouted: .noSuchIde
        case .routeConflict: .routeConflict
        case .moved, .unreachable, .prefetch, .draining: .unreachable
        case .badGateway: .badGateway
        case .upstreamTimeout: .upstreamTimeout
        case .notFound: .notFound
        }
    }

    /// Whether the answer is a page, whoever asks.
    var isPageAlways: Bool {
        if case .framedLaunch = self { true } else { false }
    }

    /// Whether HTTP/1 must close: what follows on the connection cannot be told apart from this request.
    var closesConnection: Bool {
        switch self {
        case .badRequest, .notImplemented, .headTooLarge, .requestTimeout, .draining: true
        default: false
        }
    }
}

extension GatewayFailure {
    /// What a head of HTTP/1, or one of HTTP/2 written as such, was refused for.
    init(_ defect: HeadDefect) {
        switch defect {
        case .headTooLarge: self = .headTooLarge(.headersBytes, clearsCookies: false)
        case .tooManyFields, .farTooManyFields: self = .headTooLarge(.headersFields, clearsCookies: false)
        case .methodTrace: self = .methodNotAllowed(allow: "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH")
        case .transferEncodingUnsupported, .connectUnsupported: self = .notImplemented(defect.reason)
        case .tooManyEmptyLines: self = .badRequest(defect.reason, .framingEmptyLines)
        case .badRequest, .trailersTooLarge, .uriSchemeNotAllowed, .versionUnsupported:
            self = .badRequest(defect.reason)
        }
    }

    /// What the HTTP/2 session would not write as a head.
    init(_ refusal: HTTP2Refusal) {
        switch refusal {
        case .headTooLarge(let blamesCookies): self = .headTooLarge(.headersBytes, clearsCookies: blamesCookies)
        case .tooManyFields(let blamesCookies): self = .headTooLarge(.headersFields, clearsCookies: blamesCookies)
        case .badRequest(let what): self = .badRequest(what)
        case .connectUnsupported: self = .notImplemented("CONNECT is served for WebSockets only.")
        }
    }
}

/// Why there is no session, as `login_url`'s `{reason}` says it.
enum LoginReason: Sendable {
    case none, expired, revoked

    var word: StaticString {
        switch self {
        case .none: "none"
        case .expired: "expired"
        case .revoked: "revoked"
        }
    }
}

extension LoginReason {
    /// What a person is told of a session that ended.
    init(_ end: SessionEnd) {
        switch end {
        case .expired, .idle: self = .expired
        case .revoked, .generation: self = .revoked
        case .loggedOut: self = .none
        }
    }
}
