import Identity
import Limits
import Observe
import Reactor
import Routing
import Wire

/// Who makes a request, and by which of the two ways that is known.
struct Authorized {
    let session: Session
    let usesHeaderToken: Bool
    let hasSessionCookie: Bool
}

extension Exchange {
    /// Step *session*: the one for this vmid, from `X-ZLH-Token` or the cookie, or why there is none. The answer is the same
    /// whether or not the vmid exists.
    func authorize(
        _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields
    ) throws(GatewayFailure) -> Authorized {
        let cookie = sessionCookie(bytes, fields)
        let hasCookie: Bool
        switch cookie {
        case .none: hasCookie = false
        case .one, .several: hasCookie = true
        }
        if let token = fields.first(.xZLHToken) {
            if fields.repeats(.xZLHToken) { throw .unauthorized(.none) }
            if let origin = fields.first(.origin) {
                guard head.isWebSocketUpgrade, isOwnOrigin(origin.valueRange, head, bytes) else {
                    throw .forbidden("A program's token may not be used by a web page.")
                }
            }
            let session = try sessionOfToken(bytes.extracting(token.valueRange))
            return Authorized(session: session, usesHeaderToken: true, hasSessionCookie: hasCookie)
        }
        guard case .one(let range) = cookie else { throw .unauthorized(.none) }
        let session = try sessionOfCookie(bytes.extracting(range))
        return Authorized(session: session, usesHeaderToken: false, hasSessionCookie: true)
    }

    /// The session of a request to one of our own endpoints, if it has a live one.
    func currentSession(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Session? {
        guard case .one(let range) = sessionCookie(bytes, fields) else { return nil }
        return try? sessionOfCookie(bytes.extracting(range))
    }

    /// The session cookie among all `Cookie` fields; of several none counts.
    private func sessionCookie(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> CookieHeader.Found {
        guard fields.contains(.cookie) else { return .none }
        var found = CookieHeader.Found.none
        for index in 0..<fields.count where fields[index].name == .cookie {
            let value = fields[index].valueRange
            switch CookieHeader.find("__Host-zlh_s", in: bytes.extracting(value)) {
            case .none: continue
            case .several: return .several
            case .one(let range):
                if case .one = found { return .several }
                found = .one(value.lowerBound + range.lowerBound..<value.lowerBound + range.upperBound)
            }
        }
        return found
    }

    private func sessionOfCookie(_ cookie: borrowing Span<UInt8>) throws(GatewayFailure) -> Session {
        let now = worker.now
        let connection = client.connection
        if let session = connection.remembered(cookie, vmid) {
            if end(of: session, now) == nil && !session.isEvicted { return session }
            // The registry may have another by now: after an eviction, or when the other process kept it in use.
        }
        var host = ByteBuffer(capacity: 64)
        appendSessionHost(to: &host)
        let opened = host.withReadable { worker.shared.keyRing.open(cookie, host: $0) }
        guard let sealed = opened, sealed.vmid == vmid else { throw .unauthorized(.none) }
        let session = worker.shared.sessions.admit(sealed, now: now)
        if let end = end(of: session, now) { throw .unauthorized(LoginReason(end)) }
        session.markUsed()
        connection.remember(session, cookie)
        return session
    }

    /// Why a session is over, by a clock or a revocation; nil while it lives.
    private func end(of session: Session, _ now: Moment) -> SessionEnd? {
        let snapshot = worker.snapshot
        // Ending one for good goes to the disk, so it is done once.
        if !snapshot.revocations.isEmpty, session.ended == nil,
            snapshot.revocations.covers(
                sessionID: session.id, user: session.user, vmid: session.vmid, issuedAt: session.issuedAt)
        {
            worker.shared.sessions.end(session, .revoked, now: now)
        }
        return session.check(now: now, idle: worker.settings.session.idle)
    }

    /// Bounds the tokens that are looked at of a client that is not penalised for bad ones.
    func boundForeignTokens() throws(GatewayFailure) {
        guard facts?.asker == .foreign,
            let waitMs = worker.shared.sources.takeForeignToken(client.address, nowMs: Int64(worker.nowMs))
        else { return }
        if isLaunch { worker.metrics.launch(.limited) }
        throw .limited(.httpsUnauthenticated, retryAfterSeconds: Int((waitMs + 999) / 1000))
    }

    /// A token in a header authorises this request alone; what it opens is bound like a session.
    private func sessionOfToken(_ token: borrowing Span<UInt8>) throws(GatewayFailure) -> Session {
        let now = worker.now
        let snapshot = worker.snapshot
        try boundForeignTokens()
        let claims: LaunchClaims
        switch snapshot.verifier.verify(token, vmid: vmid, now: now.epoch) {
        case .success(let verified): claims = verified
        case .failure(let refusal):
            if refusal.isBadSignature { penalise(.badSignature) }
            throw .unauthorized(refusal == .expired ? .expired : .none)
        }
        let spent = worker.shared.spent
        let expires = claims.expires + snapshot.verifier.policy.skew
        if spent.isSpent(claims.tokenID) || spent.cannotTell(issuedAt: claims.issuedAt, expires: expires) {
            throw .unauthorized(.none)
        }
        let routed = snapshot.routes.route(for: vmid)?.generation
        if let generation = claims.generation, let routed, generation != routed { throw .unauthorized(.revoked) }
        let sealed = SealedSession(
            claims: claims, generation: routed ?? claims.generation ?? "", limits: snapshot.settings.session,
            now: now.epoch)
        if snapshot.revocations.covers(
            sessionID: sealed.id, user: sealed.user, vmid: sealed.vmid, issuedAt: sealed.issuedAt)
        {
            throw .unauthorized(.revoked)
        }
        return Session.transient(sealed, tokenID: claims.tokenID, now: now)
    }

    /// The host that a session's cookie is bound to: ours in canonical form, without a port, as cookies know none.
    func appendSessionHost(to buffer: inout ByteBuffer) {
        buffer.append("dev-")
        buffer.append(decimal: UInt64(vmid))
        buffer.append(UInt8(ascii: "."))
        buffer.append(text: worker.settings.domainText)
    }
}
