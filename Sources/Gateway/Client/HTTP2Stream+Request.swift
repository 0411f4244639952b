import Limits
import Transport
import Wire

/// The request: its head, decided when it came and begun at the turn's end, and its body.
extension HTTP2Stream {
    /// Decides about a request whose head is complete. Nothing is begun before the turn's end.
    func decide(_ head: borrowing Span<UInt8>, ends: Bool, isTunnel: Bool) {
        if ends { input = .ended }
        var scan = HeadScan()
        let limits = worker.limits.headers
        // The session has counted; rendering added a line or two.
        let bounds = HeadLimits(bytes: limits.bytes * 2 + 1024, fields: limits.fields + 8, emptyLines: 0)
        switch HTTP1.parseRequestHead(head, scan: &scan, into: worker.fields, limits: bounds) {
        case .complete(let parsed) where isTunnel && !parsed.isWebSocketUpgrade:
            refuse(.badRequest("It is no WebSocket handshake."), method: .get)
        case .complete(let parsed):
            plan = exchange.begin(parsed, head, worker.fields)
        case .partial:
            refuse(.badRequest("It is no request."), method: .other)
        case .malformed(let defect):
            refuse(GatewayFailure(defect, blamesCookies: false), method: scan.method ?? .other)
        }
    }

    /// The head breaks a rule or a limit.
    func refuse(_ failure: GatewayFailure, method: Method) {
        exchange.method = method
        if failure.status == 400 { penalise(.malformed) }
        plan = .fail(failure)
    }

    /// The turn is over: begins what the head led to.
    func start() {
        guard let plan else { return }
        self.plan = nil
        exchange.perform(plan)
        if isOpen { advance() }
    }

    /// Ends what the snapshot no longer allows. What has not begun is looked at before it is sent anywhere.
    func endIfStale() {
        if plan == nil { exchange.endIfStale() }
    }

    func timePassed() {
        if plan == nil { exchange.timePassed() }
    }

    /// DATA came. It counts against the windows until it was taken.
    func receive(_ bytes: borrowing Span<UInt8>) {
        inbound.reserve(bytes.count, from: blocks)
        inbound.append(bytes)
    }

    /// The client ends its side.
    func inputDidEnd() { if input == .open { input = .ended } }

    /// Whether bytes came that nobody will take.
    func dropInput() {
        guard !inbound.isEmpty else { return }
        taken(inbound.count)
        inbound.removeAll()
        inbound.recycle(into: blocks)
    }

    func passBodyOn() {
        guard let upstream = exchange.upstream, upstream.phase == .serving, exchange.awaitsBody else { return }
        if !inbound.isEmpty {
            if upstream.stream.isBlocked || worker.shared.memoryPressure >= .noBodies {
                return exchange.outgoing.recycle(into: blocks)
            }
            inbound.withReadable { _ = exchange.sendBody($0) }
            bodyWindow.bytes &+= UInt64(inbound.count)
            dropInput()
        }
        guard input != .open else { return }
        exchange.body.isComplete = true
        if watch == .body { watch(.none) }
        exchange.bodySent()
    }

    /// The small body of a launch form.
    func takeForm() {
        let fits = inbound.withReadable { exchange.takeForm($0) }
        bodyWindow.bytes &+= UInt64(inbound.count)
        dropInput()
        guard fits else { return exchange.fail(.payloadTooLarge) }
        guard input != .open else { return }
        exchange.body.isComplete = true
        watch(.none)
        exchange.launchByForm()
    }
}
