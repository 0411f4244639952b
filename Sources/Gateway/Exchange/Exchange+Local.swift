import Identity
import Limits
import Observe
import Reactor
import Transport
import Wire

/// The gateway's own answers: one function for what went well, one for every failure.
extension Exchange {
    /// Sends an answer of our own and ends the exchange.
    func answerLocally(_ answer: LocalAnswer) {
        prepareLocal(answer.status)
        var page = ByteBuffer()
        var head = ByteBuffer(capacity: 1024)
        appendStatus(answer.status, to: &head)
        switch answer {
        case .redirect(let path):
            appendLocation(path, to: &head)
            head.append("Referrer-Policy: no-referrer\r\n")
        case .launched(let session, let path, let mark, let clears):
            appendLocation(path, to: &head)
            head.append("Referrer-Policy: no-referrer\r\n")
            appendSessionCookie(session, to: &head)
            head.append("Set-Cookie: __Host-zlh_g=")
            head.append(mark.span)
            head.append("; Path=/; Max-Age=31536000; Secure; HttpOnly; SameSite=Lax\r\n")
            if clears { head.append("Clear-Site-Data: \"cache\", \"storage\"\r\n") }
        case .session(let session, let idle):
            head.append("Content-Type: application/json\r\n")
            appendSession(session, idle: idle, to: &page)
        case .loggedOut:
            appendClearedCookie(to: &head)
        case .redirectToHTTPS:
            head.append("Location: https://")
            record.appendHostWithoutPort(to: &head)
            record.appendTarget(to: &head)
            head.append("\r\n")
        }
        finishLocal(&head, page, hasBody: answer.status != 204)
    }

    /// Turns any failure into an answer, or into a cut when the answer has begun. The one place that does.
    func fail(_ failure: GatewayFailure) {
        var failure = failure
        record.reason = failure.reason.label
        if answer.began {
            worker.refuse(failure.reason, client.address)
            return breakOff()
        }
        var login: [UInt8]?
        if case .unauthorized(let why) = failure { login = loginLocation(why) }
        switch failure {
        // What another site causes is not held against the visitor whom it uses, nor is what is sent to log in.
        case _ where facts?.asker == .foreign || login != nil: break
        case .unauthorized, .forbidden:
            let nowMs = Int64(worker.nowMs)
            if let waitMs = worker.shared.sources.takeUnauthenticated(client.address, nowMs: nowMs) {
                failure = .limited(.httpsUnauthenticated, retryAfterSeconds: Int((waitMs + 999) / 1000))
                record.reason = failure.reason.label
            }
        default: break
        }
        worker.refuse(failure.reason, client.address)
        releaseUpstream(reusable: false)
        if failure.closesConnection { client.closesAfterAnswer = true }
        if isUpgrade || facts?.isUpgrade == true { client.closesAfterAnswer = true }

        if case .unauthorized(let why) = failure, let login {
            prepareLocal(303)
            var head = ByteBuffer(capacity: 1024)
            appendStatus(303, to: &head)
            appendLocation(login, to: &head)
            appendClearedCookieIfSent(why, to: &head)
            finishLocal(&head, ByteBuffer(), hasBody: true)
            return
        }
        prepareLocal(failure.status)
        var head = ByteBuffer(capacity: 1024)
        appendStatus(failure.status, to: &head)
        switch failure {
        case .unauthorized(let why):
            head.append("WWW-Authenticate: ZLH\r\n")
            appendClearedCookieIfSent(why, to: &head)
        case .methodNotAllowed(let allow):
            head.append("Allow: ")
            head.append(allow)
            head.append("\r\n")
        case .limited(_, let seconds):
            head.append("Retry-After: ")
            head.append(decimal: UInt64(max(1, seconds)))
            head.append("\r\n")
        case .headTooLarge(_, clearsCookies: true): head.append("Clear-Site-Data: \"cookies\"\r\n")
        default: if failure.status == 503 { head.append("Retry-After: 2\r\n") }
        }
        if isLaunch { head.append("Referrer-Policy: no-referrer\r\n") }
        var page = ByteBuffer(capacity: 2048)
        if failure.isPageAlways || facts?.wantsPage ?? false {
            head.append("Content-Type: text/html; charset=utf-8\r\n")
            FailurePage.append(failure, id: record.id, now: loop.epochSeconds, to: &page)
        } else {
            head.append("Content-Type: application/json\r\n")
            appendJSON(failure, to: &page)
        }
        finishLocal(&head, page, hasBody: true)
    }

    /// Scores a misdeed of the client's, unless another site made its browser commit it.
    func penalise(_ misdeed: Misdeed) {
        if facts?.asker != .foreign { client.penalise(misdeed) }
    }

    // MARK: Rendering

    private func prepareLocal(_ status: UInt16) {
        record.status = status
        answer.status = status
        answer.began = true
        // A small rest of the request is dropped to keep the connection; more is not waited for.
        if !body.isComplete {
            if case .length = body.framing, body.remaining <= 64 * 1024, !expectsContinue { return }
            client.closesAfterAnswer = true
        }
    }

    private func appendStatus(_ status: UInt16, to head: inout ByteBuffer) {
        head.append("HTTP/1.1 ")
        head.append(decimal: UInt64(status))
        head.append(UInt8(ascii: " "))
        head.append(reasonPhrase(status))
        head.append("\r\n")
    }

    private func finishLocal(_ head: inout ByteBuffer, _ page: consuming ByteBuffer, hasBody: Bool) {
        if hasBody {
            head.append("Content-Length: ")
            head.append(decimal: UInt64(page.count))
            head.append("\r\n")
        }
        head.append("Cache-Control: no-store\r\n")
        head.append("Date: ")
        HTTPDate.append(epochSeconds: loop.epochSeconds, to: &head)
        head.append("\r\n")
        if client.httpProtocol == .h2 {
            // Its connection lives on.
        } else if client.closesAfterAnswer || !keepsAlive || worker.isDraining {
            head.append("Connection: close\r\n")
        } else if minorVersion == 0 {
            head.append("Connection: keep-alive\r\n")
        }
        appendGatewayFields(
            record.id, sendsHSTS: worker.settings.sendsHSTS && client.connection.isSecure, into: &head)
        head.append("\r\n")
        let count = method == .head ? 0 : page.count
        record.bytesOut = UInt64(count)
        client.staged.reserve(head.count + count, from: blocks)
        head.withReadable { client.staged.append($0) }
        // A page is small enough to be taken whole, whatever waits.
        if count > 0, client.send(&page, count) == .failed { return client.lost() }
        if client.finish() == .failed { return client.lost() }
        completed()
    }

    private func appendLocation(_ path: [UInt8], to head: inout ByteBuffer) {
        head.append("Location: ")
        PercentCoding.encodeTarget(path.span, into: &head)
        head.append("\r\n")
    }

    private func appendSessionCookie(_ session: Session, to head: inout ByteBuffer) {
        var host = ByteBuffer(capacity: 64)
        appendSessionHost(to: &host)
        head.append("Set-Cookie: __Host-zlh_s=")
        host.withReadable { worker.shared.keyRing.seal(session, host: $0, into: &head) }
        head.append("; Path=/; Max-Age=")
        head.append(decimal: UInt64(max(0, session.absoluteEnd - loop.epochSeconds)))
        head.append("; Secure; HttpOnly; SameSite=Lax\r\n")
    }

    private func appendClearedCookie(to head: inout ByteBuffer) {
        head.append("Set-Cookie: __Host-zlh_s=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax\r\n")
    }

    private func appendClearedCookieIfSent(_ why: LoginReason, to head: inout ByteBuffer) {
        // One that is over by a clock is not cleared: the clock may be wrong, and browsers drop it themselves.
        guard case .revoked = why else { return }
        appendClearedCookie(to: &head)
    }

    private func appendSession(_ session: Session, idle: Int64, to page: inout ByteBuffer) {
        page.append("{\"vmid\":")
        page.append(decimal: UInt64(session.vmid))
        page.append(",\"user\":\"")
        page.append(escaping: session.user.utf8Span.span)
        page.append("\",\"session\":\"")
        page.append(escaping: session.id.utf8Span.span)
        page.append("\",\"issued\":")
        page.append(decimal: UInt64(max(0, session.issuedAt)))
        page.append(",\"expires\":")
        page.append(decimal: UInt64(max(0, session.absoluteEnd)))
        page.append(",\"idle_expires\":")
        let now = worker.now
        let idleEnd = now.epoch + idle - (now.steady - session.idleSince)
        page.append(decimal: UInt64(max(0, min(session.absoluteEnd, idleEnd))))
        page.append("}\n")
    }

    private func appendJSON(_ failure: GatewayFailure, to page: inout ByteBuffer) {
        page.append("{\"error\":\"")
        page.append(failure.error)
        page.append("\",\"message\":\"")
        page.append(failure.text.message)
        page.append("\",\"request_id\":\"")
        record.id.append(to: &page)
        page.append("\"}\n")
    }

    /// Where a browser without a session is sent: `login_url` filled in, or `nil` for a page.
    private func loginLocation(_ why: LoginReason) -> [UInt8]? {
        let url = worker.settings.loginURL
        // Who asks one of our own endpoints is told there.
        guard !url.isEmpty, facts?.isNavigation == true,
            !record.target.withReadable({ HTTPSpan.hasPrefix($0, "/.zlh/") }),
            worker.shared.redirects.allows(client.address, vmid: vmid, nowMs: worker.nowMs)
        else { return nil }
        var next = ByteBuffer()
        record.target.withReadable { PercentCoding.encode($0, into: &next) }
        return Array(
            url.replacing("{vmid}", with: String(vmid))
                .replacing("{reason}", with: "\(why.word)")
                .replacing("{next}", with: next.withReadable { $0.text() })
                .utf8)
    }
}
