import HTTP2
import Limits
import Observe
import Reactor
import Transport
import Wire

/// One request of an HTTP/2 connection, and after an extended CONNECT the client's half of a tunnel. Used again for
/// other streams once it is over. Owned by its worker, used on its thread.
final class HTTP2Stream: Downstream {
    /// What is copied and waits for the end of the turn, so that small answers of many streams share TLS records.
    private static let gathered = 16 * 1024

    /// The connection it came by; `nil` between uses.
    private(set) var http2: HTTP2Connection!
    /// Its place in the session.
    private(set) var slot = 0
    /// What its head led to, until the turn's end starts it.
    var plan: Exchange.Plan?
    /// DATA that waits for the turn's end or for the client's window.
    private(set) var pending = ByteBuffer()
    /// Its window is shut, and more is to be sent than `pending`.
    private(set) var waitsForWindow = false
    /// Since when something waits and nothing went out; `nil` while all goes.
    private var stalledMs: UInt64?
    /// Sessions or routes changed before its turn's end.
    private var looksAgain = false
    private var headSent = false
    private var endSent = false
    private var inputEnded = false
    private var toldInputEnd = false
    /// Nothing more is to be done for it but to send what is pending.
    private(set) var isFinished = true
    /// Once the answer is out, the client is told to send no more of its request.
    private var refusesRest = false
    /// The session is done with it, for this reason.
    private var closeCode: UInt32?
    /// It is over for the client, but its container has yet to take what came.
    private var isLeaving = false

    init(worker: Worker) {
        super.init(worker)
        exchange = Exchange(self)
    }

    /// Begins a life as the session's `slot`.
    func begin(_ http2: HTTP2Connection, slot: Int) {
        self.http2 = http2
        self.slot = slot
        waitsForWindow = false
        stalledMs = nil
        looksAgain = false
        headSent = false
        endSent = false
        inputEnded = false
        toldInputEnd = false
        isFinished = false
        refusesRest = false
        closeCode = nil
        closesAfterAnswer = false
        worker.loop.register(self)
        exchange.record.begin(worker)
    }

    override var connection: ClientConnection { http2.client }
    override var httpProtocol: HTTPProtocol { .h2 }
    override var isOpen: Bool { !isFinished && closeCode == nil }
    override var isBlocked: Bool { waitsForWindow || http2.client.stream.isBlocked }
    override var isWriteShutdown: Bool { endSent }

    /// Bytes that wait here for somebody slow.
    var heldBytes: Int { pending.count + inbound.count + exchange.heldBytes }

    // MARK: The request

    /// Decides about a request whose head is complete. Nothing is begun before the turn's end.
    func decide(_ head: borrowing Span<UInt8>, ends: Bool, isTunnel: Bool) {
        inputEnded = ends
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
        if looksAgain { exchange.endIfStale() }
        if isOpen { advance() }
    }

    /// Ends what the snapshot no longer allows; what has not begun is looked at when it does.
    func endIfStale() {
        if plan != nil { looksAgain = true } else { exchange.endIfStale() }
    }

    // MARK: From the client

    /// DATA came. It counts against the windows until it was taken.
    func receive(_ bytes: borrowing Span<UInt8>) {
        inbound.reserve(bytes.count, from: worker.blocks)
        inbound.append(bytes)
    }

    /// The client ends its side.
    func inputDidEnd() { inputEnded = true }

    /// Whether bytes came that nobody will take.
    func dropInput() {
        guard !inbound.isEmpty else { return }
        taken(inbound.count)
        inbound.removeAll()
        inbound.recycle(into: worker.blocks)
    }

    override func advance() {
        if isFinished { return dropInput() }
        switch exchange.phase {
        case .form: takeForm()
        case .requesting, .answering: passBodyOn()
        case .tunnel: exchange.pumpTunnelToUpstream()
        case .idle, .queued, .connecting, .discarding: break
        }
    }

    override func resumed() { advance() }

    /// All that came is in `inbound` already.
    override func readMore(limit: Int = .max) -> Bool {
        if inputEnded && !toldInputEnd && exchange.phase == .tunnel {
            toldInputEnd = true
            exchange.clientEnded()
        }
        return false
    }

    override func taken(_ count: Int) {
        if closeCode == nil { http2.taken(slot, count) }
    }

    override func readLess() {}

    override var isHeldUp: Bool { http2.isInputHeldUp }

    private func passBodyOn() {
        guard let upstream = exchange.upstream, upstream.phase == .serving, exchange.awaitsBody else { return }
        if !inbound.isEmpty {
            if upstream.stream.isBlocked || worker.shared.memoryPressure >= .noBodies { return }
            inbound.withReadable { _ = exchange.sendBody($0) }
            bodyWindow.bytes &+= UInt64(inbound.count)
            dropInput()
        }
        guard inputEnded else { return }
        exchange.body.isComplete = true
        if watch == .body { watch(.none) }
        exchange.bodySent()
    }

    /// The small body of a launch form.
    private func takeForm() {
        let fits = inbound.withReadable { exchange.takeForm($0) }
        bodyWindow.bytes &+= UInt64(inbound.count)
        dropInput()
        guard fits else { return exchange.fail(.payloadTooLarge) }
        guard inputEnded else { return }
        exchange.body.isComplete = true
        watch(.none)
        exchange.launchByForm()
    }

    // MARK: To the client

    override func push() -> WriteOutcome {
        guard submitStaged(ends: false) else { return .failed }
        return isBlocked ? .blocked : .sent
    }

    /// A little is copied and leaves at the turn's end; more goes out of `buffer` at once, as far as the windows allow.
    override func send(_ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        guard closeCode == nil else {
            buffer.consume(count)
            return .sent
        }
        guard submitStaged(ends: false) else { return .failed }
        guard pending.count + count <= Self.gathered else { return http2.send(self, &buffer, count) }
        pending.reserve(count, from: worker.blocks)
        buffer.withReadable { pending.append($0.extracting(first: count)) }
        buffer.consume(count)
        offer()
        return isBlocked ? .blocked : .sent
    }

    override func finish() -> WriteOutcome {
        guard !endSent else { return .sent }
        guard submitStaged(ends: pending.isEmpty) else { return .failed }
        endSent = true
        offer()
        return .sent
    }

    override func shutdownWriting() -> WriteOutcome { finish() }

    /// What is staged is a head, and after a final head trailers. False when the session does not take a final head, and
    /// so nothing that follows.
    private func submitStaged(ends: Bool) -> Bool {
        guard !staged.isEmpty, closeCode == nil else { return true }
        if headSent {
            _ = staged.withReadable { http2.session.submitTrailers(slot, $0) }
        } else {
            let isFinal = exchange.answer.began
            let isTaken = staged.withReadable { http2.session.submitHead(slot, $0, ends: ends && isFinal) }
            headSent = isFinal && isTaken
            if isFinal && !isTaken { return false }
        }
        staged.removeAll()
        staged.recycle(into: worker.blocks)
        http2.willSend(self)
        return true
    }

    /// Tells the session what could be sent.
    private func offer() {
        guard headSent else { return }
        http2.session.setAvailable(slot, pending.count, ends: endSent)
        http2.willSend(self)
    }

    /// The client's window holds up what is left of a larger piece.
    func windowIsShut() {
        waitsForWindow = true
        watchProgress()
    }

    /// The client takes nothing. The time runs from when it began to, whatever else it says meanwhile.
    private func watchProgress() {
        let since = stalledMs ?? worker.nowMs
        stalledMs = since
        watchStall(spentMs: Int(worker.nowMs &- since))
    }

    /// Its window may have room again.
    func windowOpened() {
        guard waitsForWindow else { return }
        waitsForWindow = false
        if watch == .stall {
            watch(.none)
            exchange.watchAgain()
        }
    }

    /// So many bytes of `pending` went out.
    func sent(_ count: Int) {
        if count > 0 { stalledMs = nil }
        pending.consume(count)
    }

    /// DATA went out that never was in `pending`.
    func noteProgress() { stalledMs = nil }

    /// After a turn's sending: what could not leave is watched.
    func settle() {
        pending.recycle(into: worker.blocks)
        if !pending.isEmpty { watchProgress() }
        if refusesRest && http2.session.hasSentEnd(slot) {
            // Nobody reads the rest of the request (RFC 9113 section 8.1).
            refusesRest = false
            http2.session.reset(slot, .noError)
            http2.willSend(self)
        }
    }

    // MARK: Ends

    override func answered(unread: Bool) {
        exchange.reset()
        finishLife()
        // A body of no length may still want its end.
        refusesRest = unread || !inputEnded
    }

    override func cut(showsItsEnd: Bool) { reset(.internalError) }

    override func abort(_ reason: RefusalReason?) {
        if let reason { worker.refuse(reason, address) }
        reset(.cancel)
    }

    override func close(_ reason: RefusalReason?) { abort(reason) }

    override func lost() {
        endExchange()
        reset(.internalError)
        // It may have been idle, with an answer of ours half said.
        exchange.reset()
    }

    /// Ends the exchange wherever it is. What was made of a request that never began is dropped as well: it must not
    /// meet the next one.
    private func endExchange() {
        guard plan != nil else { return exchange.clientLost() }
        plan = nil
        exchange.record.reason = "client_closed"
        exchange.finishRecord()
        exchange.reset()
    }

    override func endTunnel(isBroken: Bool, withinMs: UInt64?) {
        // A connection of the container's that breaks is a reset here (RFC 8441 section 5).
        if isBroken { return reset(.cancel) }
        _ = finish()
        finishLife()
        guard !inputEnded else { return }
        if let withinMs { return watch(.linger, afterMs: Int(withinMs)) }
        refusesRest = true
        http2.willSend(self)
    }

    private func finishLife() {
        isFinished = true
        watch(.none)
        dropInput()
        if isLeaving { retire() }
    }

    private func reset(_ code: HTTP2Error) {
        if isFinished && endSent && closeCode != nil { return }
        finishLife()
        endSent = true
        pending.removeAll()
        staged.removeAll()
        waitsForWindow = false
        guard closeCode == nil else { return }
        http2.session.reset(slot, code)
        http2.willSend(self)
    }

    /// The session is done with the stream: the client reset it, or both sides have ended.
    func closed(_ code: UInt32, isLost: Bool = false) {
        guard closeCode == nil else { return }
        let mayLeave = code == 0 && !isLost && endSent && inputEnded && !isFinished && exchange.phase == .tunnel
        if mayLeave { http2.taken(slot, inbound.count) }
        closeCode = code
        endSent = true
        refusesRest = false
        if mayLeave {
            isLeaving = true
            return watch(.linger, afterMs: worker.limits.upstream.responseMs)
        }
        if !isFinished {
            // What a client breaks off is broken off at the container too (RFC 8441 section 5).
            if code != 0 { exchange.upstream?.stream.abort(worker.blocks) }
            endExchange()
        }
        finishLife()
        retire()
    }

    private func retire() {
        isLeaving = false
        worker.loop.deregister(self)
        pending.removeAll()
        pending.recycle(into: worker.blocks)
        staged.removeAll()
        staged.recycle(into: worker.blocks)
        worker.retire(self)
    }

    /// Lets go of the connection, to serve another one.
    func rest() { http2 = nil }

    /// The connection broke under it.
    func connectionLost() {
        closed(0, isLost: true)
    }

    override func expired() {
        switch watch {
        case .stall: checkStall()
        case .linger:
            endExchange()
            reset(.noError)
        default: _ = expiredForExchange()
        }
    }

    /// Has the client taken anything for so long?
    private func checkStall() {
        guard waitsForWindow || !pending.isEmpty else {
            watch(.none)
            return isFinished ? () : exchange.watchAgain()
        }
        let since = stalledMs ?? worker.nowMs
        stalledMs = since
        let dueMs = since &+ UInt64(worker.limits.responseStallMs)
        if dueMs > worker.nowMs {
            watch(.stall, afterMs: Int(dueMs &- worker.nowMs))
            return exchange.checkTunnel()
        }
        exchange.clientLost()
        abort(.responseStall)
    }
}
