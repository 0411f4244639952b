import Crypto
import Identity
import Limits
import Observe
import Reactor
import Routing
import Synchronization
import Wire

/// Launches: the signed ticket of the control plane becomes a session.
extension Exchange {
    private static let formLimit = 8 * 1024

    /// `GET /.zlh/launch?token=…&next=/path`.
    func launchByLink(
        _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: RequestFacts
    ) throws(GatewayFailure) -> Plan {
        if try isFramedLaunch(bytes, fields, facts) { throw .framedLaunch(.sameAddress) }
        var token = ByteBuffer()
        var next = ByteBuffer()
        if let query = head.queryRange {
            _ = FormBody.value(of: "token", in: bytes.extracting(query), into: &token)
            _ = FormBody.value(of: "next", in: bytes.extracting(query), into: &next)
        }
        return .answer(
            try launch(token, next: next, cookies: (currentSession(bytes, fields), knownGeneration(bytes, fields))))
    }

    /// `GET /?token=…`: the same target without the token.
    func launchAtRoot(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: RequestFacts, query: Range<Int>,
        token: Range<Int>
    ) throws(GatewayFailure) -> Plan {
        if try isFramedLaunch(bytes, fields, facts) { throw .framedLaunch(.sameAddress) }
        var value = ByteBuffer()
        value.append(bytes, query.lowerBound + token.lowerBound..<query.lowerBound + token.upperBound)
        var next = ByteBuffer()
        next.append("/?")
        if !RequestTarget.appendQueryWithoutToken(bytes.extracting(query), to: &next) { next.dropLast(1) }
        return .answer(
            try launch(value, next: next, cookies: (currentSession(bytes, fields), knownGeneration(bytes, fields))))
    }

    /// `POST /.zlh/launch`: the form is read first, from any origin.
    func beginLaunchForm(
        _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: RequestFacts
    ) throws(GatewayFailure) -> Plan {
        isFramed = try isFramedLaunch(bytes, fields, facts)
        if case .length(let count) = head.framing, count > UInt64(Self.formLimit) { throw .payloadTooLarge }
        launchCookies = (currentSession(bytes, fields), knownGeneration(bytes, fields))
        if body.isComplete, !isFramed {
            return .answer(try launch(ByteBuffer(), next: ByteBuffer(), cookies: launchCookies))
        }
        if body.isComplete { throw .framedLaunch(.sameAddress) }
        return .collectForm
    }

    /// Takes a piece of the form; `false` when it is over 8 KiB.
    func takeForm(_ bytes: borrowing Span<UInt8>) -> Bool {
        guard form.count + bytes.count <= Self.formLimit else { return false }
        form.append(bytes)
        return true
    }

    /// The form is complete.
    func launchByForm() {
        var token = ByteBuffer()
        var next = ByteBuffer()
        form.withReadable { bytes in
            _ = FormBody.value(of: "token", in: bytes, into: &token)
            _ = FormBody.value(of: "next", in: bytes, into: &next)
        }
        do throws(GatewayFailure) {
            if isFramed {
                throw GatewayFailure.framedLaunch(
                    .form(token: token.withReadable { $0.copied() }, next: next.withReadable { $0.copied() }))
            }
            answerLocally(try launch(token, next: next, cookies: launchCookies))
        } catch {
            fail(error)
        }
        launchCookies = (nil, nil)
    }

    /// The session and generation cookies that came with a launch.
    typealias LaunchCookies = (session: Session?, generation: [UInt8]?)

    /// Checks a token and makes the session.
    private func launch(
        _ token: borrowing ByteBuffer, next: borrowing ByteBuffer, cookies: LaunchCookies
    ) throws(GatewayFailure) -> LocalAnswer {
        try boundForeignTokens()
        let now = worker.now
        let snapshot = worker.snapshot
        let verified = token.withReadable { snapshot.verifier.verify($0, vmid: vmid, now: now.epoch) }
        let claims: LaunchClaims
        switch verified {
        case .success(let good): claims = good
        case .failure(let refusal): throw refuseLaunch(refusal)
        }
        let target = Self.safeNext(next)
        guard let route = snapshot.routes.route(for: vmid), claims.generation.map({ $0 == route.generation }) ?? true
        else {
            worker.metrics.launch(.waiting)
            throw .notYetRouted(until: claims.expires)
        }
        let sealed = SealedSession(
            claims: claims, generation: route.generation, limits: snapshot.settings.session, now: now.epoch)
        if snapshot.revocations.covers(sealed) { throw refuseLaunch(.revoked) }
        // Its cookie would be refused.
        if worker.shared.sessions.cannotTell(issuedAt: claims.issuedAt) { throw refuseLaunch(.beforeStart) }
        if method == .head { return try foretell(token, claims, sealed, to: target, cookies.session) }
        let (outcome, made) = spend(token, claims, for: sealed, now)
        switch outcome {
        case .first: break
        case .beforeStart: throw refuseLaunch(.beforeStart)
        case .again(let sessionID):
            // Browsers retry: the session made from this very token stands.
            if let session = cookies.session, session.id == sessionID {
                record.user = session.user
                worker.metrics.launch(.repeated)
                return .redirect(to: target)
            }
            guard let session = made, session.generation == route.generation,
                session.check(now: now, idle: snapshot.settings.session.idle) == nil
            else { throw refuseLaunch(.alreadyUsed) }
            worker.metrics.launch(.repeated)
            return launched(session, route, to: target, cookies)
        }
        guard let session = made else { throw refuseLaunch(.expired) }
        if session.ended != nil { throw refuseLaunch(.revoked) }
        session.touch(steady: now.steady)
        worker.metrics.launch(.ok)
        return launched(session, route, to: target, cookies)
    }

    /// Spends the token and makes the session, or finds the one that the first click on the link made.
    private func spend(
        _ token: borrowing ByteBuffer, _ claims: LaunchClaims, for sealed: SealedSession, _ now: Moment
    ) -> (SpentTokens.Outcome, Session?) {
        let link = token.withReadable { Digest.sha256($0) }
        let (shared, address, nowMs) = (worker.shared, client.address, worker.nowMs)
        let expires = claims.expires + worker.snapshot.verifier.policy.skew
        // In one go, so that the second click never finds the token spent and no session.
        return shared.launches.withLock { launches in
            let outcome = shared.spent.spend(
                claims.tokenID, sessionID: sealed.id, expires: expires, issuedAt: claims.issuedAt, now: now)
            switch outcome {
            case .first where sealed.absoluteEnd > now.epoch:
                let session = shared.sessions.admit(sealed, now: now)
                launches.note(link, session, from: address, nowMs: nowMs)
                return (outcome, session)
            case .again: return (outcome, launches.unused(link, from: address, nowMs: nowMs))
            case .first, .beforeStart: return (outcome, nil)
            }
        }
    }

    /// The answer that carries the session's cookie.
    private func launched(
        _ session: Session, _ route: IDERoute, to target: [UInt8], _ cookies: LaunchCookies
    ) -> LocalAnswer {
        client.connection.forgetSession()
        record.user = session.user
        let mark = Self.generationMark(route)
        return .launched(
            session, to: target, generationMark: mark, clearsSiteData: cookies.generation != mark)
    }

    /// HEAD is answered as GET would be, but spends and sets nothing: programs that look at links send it.
    private func foretell(
        _ token: borrowing ByteBuffer, _ claims: LaunchClaims, _ sealed: SealedSession, to target: [UInt8],
        _ session: Session?
    ) throws(GatewayFailure) -> LocalAnswer {
        let (shared, address, nowMs) = (worker.shared, client.address, worker.nowMs)
        if let sessionID = shared.spent.sessionID(of: claims.tokenID) {
            let link = token.withReadable { Digest.sha256($0) }
            let isSecondClick = shared.launches.withLock { $0.unused(link, from: address, nowMs: nowMs) != nil }
            guard isSecondClick || session?.id == sessionID else { throw refuseLaunch(.alreadyUsed) }
            return .redirect(to: target)
        }
        let expires = claims.expires + worker.snapshot.verifier.policy.skew
        if shared.spent.cannotTell(issuedAt: claims.issuedAt, expires: expires) { throw refuseLaunch(.beforeStart) }
        if sealed.absoluteEnd <= worker.now.epoch { throw refuseLaunch(.expired) }
        return .redirect(to: target)
    }

    private func refuseLaunch(_ refusal: LaunchRefusal) -> GatewayFailure {
        worker.metrics.launch(LaunchResult(refusal))
        if refusal.isBadSignature { penalise(.badSignature) }
        return .forbidden(refusal.message)
    }

    /// Refuses a launch that would be in vain before its token is looked at: what a browser fetches ahead, and what a page
    /// loads as an image, by `fetch()` and so on. Whether the launch is for a frame, where no cookie of ours is kept.
    private func isFramedLaunch(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: RequestFacts
    ) throws(GatewayFailure) -> Bool {
        isLaunch = true
        if isFetchedAhead(fields) {
            worker.metrics.launch(.prefetch)
            throw .prefetch
        }
        switch Destination(bytes, fields) {
        case .unsaid where !facts.isUpgrade, .document: return false
        // What service workers fetch again: Chromium keeps the mode.
        case .empty where hasMode("navigate", bytes, fields) || isRefetched(bytes, fields): return false
        case .iframe, .frame:
            worker.metrics.launch(.embedded)
            return true
        default:
            worker.metrics.launch(.embedded)
            throw .forbidden("A launch link has to be opened as a page of its own.")
        }
    }

    private static func safeNext(_ next: borrowing ByteBuffer) -> [UInt8] {
        next.withReadable { RequestTarget.isSafeNext($0) ? $0.copied() : [UInt8(ascii: "/")] }
    }

    /// What the year-long cookie says of the container's former life in this browser.
    private func knownGeneration(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> [UInt8]? {
        guard let cookie = fields.first(.cookie) else { return nil }
        let value = bytes.extracting(cookie.valueRange)
        guard case .one(let range) = CookieHeader.find("__Host-zlh_g", in: value) else { return nil }
        return value.extracting(range).copied()
    }

    /// A short hash of the vmid's generation, so that the cookie tells nothing else.
    static func generationMark(_ route: IDERoute) -> [UInt8] {
        Array(Base64URL.encode(Array(Digest.sha256(Array("\(route.vmid)/\(route.generation)".utf8)).prefix(12))).utf8)
    }
}

extension LaunchResult {
    init(_ refusal: LaunchRefusal) {
        switch refusal {
        case .expired: self = .expired
        case .alreadyUsed: self = .spent
        case .wrongVMID: self = .wrongContainer
        case .revoked: self = .revoked
        default: self = .invalid
        }
    }
}
