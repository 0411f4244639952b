import Crypto
import Identity
import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

extension Exchange {
    /// What a request's head leads to; performed once nobody borrows the head's bytes any more.
    enum Plan {
        case forward
        case fail(GatewayFailure)
        case answer(LocalAnswer)
        case collectForm
        case redirectToHTTPS
    }

    /// Decides about a request: the decision table of `LifeOfARequest.md`, in order. What is to be forwarded is rendered
    /// into `outgoing` here, as the head's bytes are gone afterwards.
    func begin(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Plan {
        let (worker, connection) = (self.worker, client.connection)
        method = head.method
        minorVersion = head.minorVersion
        keepsAlive = head.keepAlive
        expectsContinue = head.expectContinue
        body = RequestBody(head.framing, (worker.limits.framing.chunkExtension, worker.limits.framing.extensions))
        let facts = RequestFacts(head, bytes, fields)
        self.facts = facts
        record.note(head, bytes)
        do throws(GatewayFailure) {
            vmid = try vmidOfHost(head, bytes, connection)
            if !connection.isSecure { return .redirectToHTTPS }
            record.vmid = vmid
            if let plan = try gatewayEndpoint(head, bytes, fields, facts) { return plan }
            let identity = try authorize(head, bytes, fields)
            session = identity.session
            try checkSite(
                head, bytes, fields, usesHeaderToken: identity.usesHeaderToken,
                hasSessionCookie: identity.hasSessionCookie)
            route = try selectUpstream(
                for: identity.session, vmid: vmid, in: worker.snapshot.routes, isNavigation: facts.isNavigation)
            judgedBy = worker.version
            if worker.settings.compresses {
                codingFacts = CodingFacts(
                    head, bytes, fields, asker: facts.asker, usesHeaderToken: identity.usesHeaderToken)
            }
            if worker.shared.memoryPressure >= .noBodies, !body.isComplete { throw GatewayFailure.overloaded(.memory) }
            isUpgrade = facts.isUpgrade
            wantsTrailers =
                fields.first(.te).map { ListHeader.contains("trailers", in: bytes.extracting($0.valueRange)) } ?? false
            if isUpgrade, let key = fields.first(.secWebSocketKey) {
                Digest.webSocketAccept(key: bytes.extracting(key.valueRange), into: &expectedAccept)
            }
            // Whatever became of the request before: two heads in one buffer would be somebody else's request.
            outgoing.removeAll()
            outgoing.reserve(head.byteCount + 512, from: blocks)
            try connection.forwarded.withReadable { forwarded throws(GatewayFailure) in
                try rewriteRequest(
                    head, bytes, fields, forwarded: forwarded, id: record.id, restoredTags: &restoredTags,
                    into: &outgoing)
            }
            identity.session.touch(steady: worker.steadySeconds)
            return .forward
        } catch {
            return .fail(error)
        }
    }

    /// Takes from a head that is refused, or that is not whole, what its answer and the log need; gives the failure.
    func refusal(_ failure: GatewayFailure, of head: borrowing Span<UInt8>) -> GatewayFailure {
        let skimmed = HTTP1.skim(head, into: worker.fields)
        let token = head.extracting(skimmed.method)
        method = Method(recognising: token)
        record.noteMethod(token)
        let facts = RequestFacts(refused: method, head, worker.fields)
        self.facts = facts
        guard case .headTooLarge(let reason, let clearsCookies) = failure else { return failure }
        let blamesCookies = clearsCookies || skimmed.cookieBytes * 2 > worker.limits.headers.bytes
        return .headTooLarge(reason, clearsCookies: facts.isNavigation && blamesCookies)
    }

    /// The vmid that the Host names; looked up only when the Host is not the one that this connection named before.
    private func vmidOfHost(
        _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ client: ClientConnection
    ) throws(GatewayFailure) -> UInt32 {
        let authority = bytes.extracting(head.authorityRange)
        if client.knownAuthority.withReadable({ HTTPSpan.equal($0, authority) }) { return client.knownVMID }
        let vmid = try identifyVM(head, bytes, in: worker.settings.domain)
        client.knownAuthority.removeAll()
        client.knownAuthority.append(authority)
        client.knownVMID = vmid
        client.forwarded.removeAll()
        record.host.withReadable {
            renderForwarded(client: client.peer.address, host: $0, defaultPort: 443, into: &client.forwarded)
        }
        return vmid
    }

    /// Does what `begin` decided.
    func perform(_ plan: Plan) {
        switch plan {
        case .forward: forward()
        case .fail(let failure): fail(failure)
        case .answer(let answer): answerLocally(answer)
        case .redirectToHTTPS: answerLocally(.redirectToHTTPS)
        case .collectForm:
            phase = .form
            client.beginBodyWatch()
            if !askForBody() { client.lost() }
        }
    }
}
