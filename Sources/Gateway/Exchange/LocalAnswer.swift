import Identity
import Wire

/// An answer of the gateway's own that is no failure.
enum LocalAnswer {
    /// 303 to a path of this host.
    case redirect(to: [UInt8])
    /// 303 with the cookies of a new session.
    case launched(Session, to: [UInt8], generationMark: [UInt8], clearsSiteData: Bool)
    /// What `/.zlh/session` tells.
    case session(Session, idle: Int64)
    /// 204, the cookie cleared.
    case loggedOut
    /// 308 from the plain listener.
    case redirectToHTTPS

    var status: UInt16 {
        switch self {
        case .redirect, .launched: 303
        case .session: 200
        case .loggedOut: 204
        case .redirectToHTTPS: 308
        }
    }
}

/// The words of a status line (RFC 9110 section 15).
func reasonPhrase(_ status: UInt16) -> StaticString {
    switch status {
    case 200: "OK"
    case 204: "No Content"
    case 303: "See Other"
    case 308: "Permanent Redirect"
    case 400: "Bad Request"
    case 401: "Unauthorized"
    case 403: "Forbidden"
    case 404: "Not Found"
    case 405: "Method Not Allowed"
    case 408: "Request Timeout"
    case 413: "Content Too Large"
    case 421: "Misdirected Request"
    case 429: "Too Many Requests"
    case 431: "Request Header Fields Too Large"
    case 501: "Not Implemented"
    case 502: "Bad Gateway"
    case 503: "Service Unavailable"
    case 504: "Gateway Timeout"
    default: "Unknown"
    }
}
