import Identity
import Observe
import Wire

/// The paths that are the gateway's own and never forwarded: everything under `/.zlh/`, and a launch at `/`.
extension Exchange {
    /// Step *own endpoints*: what to do when the request is for the gateway itself, `nil` when it is the container's.
    func gatewayEndpoint(
        _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: RequestFacts
    ) throws(GatewayFailure) -> Plan? {
        let path = bytes.extracting(head.pathRange)
        if head.pathRange.count <= 1 {
            guard head.method == .get || head.method == .head, let query = head.queryRange,
                let token = RequestTarget.tokenParameter(in: bytes.extracting(query))
            else { return nil }
            return try launchAtRoot(bytes, fields, facts, query: query, token: token)
        }
        guard HTTPSpan.hasPrefix(path, "/.zlh") else { return nil }
        // `/.zlhx` is the container's, `/.zlh` alone is nothing.
        if path.count > 5 && path[5] != UInt8(ascii: "/") { return nil }
        if HTTPSpan.equal(path, "/.zlh/launch") {
            isLaunch = true
            switch head.method {
            case .get, .head: return try launchByLink(head, bytes, fields, facts)
            case .post: return try beginLaunchForm(head, bytes, fields, facts)
            default: throw .methodNotAllowed(allow: "GET, HEAD, POST")
            }
        }
        if HTTPSpan.equal(path, "/.zlh/session") {
            // A 200 would open a WebSocket (RFC 8441 section 5).
            if facts.isUpgrade && client.httpProtocol == .h2 { throw .notFound }
            guard head.method == .get || head.method == .head else { throw .methodNotAllowed(allow: "GET, HEAD") }
            guard let session = currentSession(bytes, fields) else { throw .unauthorized(.none) }
            try checkSite(head, bytes, fields, usesHeaderToken: false, hasSessionCookie: true)
            return .answer(.session(session, idle: worker.settings.session.idle))
        }
        if HTTPSpan.equal(path, "/.zlh/logout") {
            guard head.method == .post else { throw .methodNotAllowed(allow: "POST") }
            guard let session = currentSession(bytes, fields) else { throw .unauthorized(.none) }
            try checkSite(head, bytes, fields, usesHeaderToken: false, hasSessionCookie: true)
            worker.shared.sessions.end(session, .loggedOut, now: worker.now)
            worker.shared.broadcast(.sessionsEnded)
            return .answer(.loggedOut)
        }
        throw .notFound
    }
}
