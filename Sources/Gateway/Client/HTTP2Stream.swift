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

    enum Life {
        /// The exchange is under way, or about to be.
        case serving
        /// Nothing more is to be done but to send what is pending.
        case finished
        /// The session is done with it, and its container has yet to take what came.
        case leaving
        /// The session is done with it.
        case over
    }

    /// What came of the request.
    enum Input {
        case open
        /// END_STREAM has come,
        case ended
        /// and a tunnel was told.
        case told
    }

    /// What was submitted of the answer.
    private enum Output {
        case nothing, head, end
    }

    /// The connection it came by; `nil` between uses.
    private(set) var http2: HTTP2Connection!
    /// Its place in the session, until that is done with it and may give the place to another stream.
    private(set) var slot: Int?
    /// What its head led to, until the turn's end starts it.
    var plan: Exchange.Plan?
    /// DATA that waits for the turn's end or for the client's window.
    private(set) var pending = ByteBuffer()
    /// Its window is shut, and more is to be sent than `pending`.
    private(set) var waitsForWindow = false
    /// Since when something waits and next to nothing went out; `nil` while all goes.
    private var stalledMs: UInt64?
    /// Bytes that went out since.
    private var sinceStall = 0
    private(set) var life = Life.over
    var input = Input.open
    private var output = Output.nothing
    /// Once the answer is out, the client is told to send no more of its request.
    private var refusesRest = false
    /// The code of a close frame of ours that the client has yet to answer.
    private var awaitedClose: UInt16?
    /// How the stream is reset once what is pending is out: the client has not got the whole.
    private var resetCode: HTTP2Error?
    /// The connection settles it at the turn's end.
    var awaitsSettling = false

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
        life = .serving
        input = .open
        output = .nothing
        refusesRest = false
        resetCode = nil
        awaitedClose = nil
        awaitsSettling = false
        closesAfterAnswer = false
        loop.register(self)
        exchange.record.begin(worker)
    }

    override var connection: ClientConnection { http2.client }
    override var httpProtocol: HTTPProtocol { .h2 }
    override var isOpen: Bool { life == .serving }
    /// Once the client is gone, what the container sends is dropped and waits for nothing.
    override var isBlocked: Bool { slot != nil && (waitsForWindow || http2.client.stream.isBlocked) }
    override var isWriteShutdown: Bool { output == .end }
    override var sendRoom: Int { slot.map { http2.sendRoom($0) } ?? 0 }

    /// Whether it is reset behind what is pending.
    var isCutShort: Bool { resetCode != nil }

    /// Whether its exchange is over.
    var isFinished: Bool { life == .finished || life == .over }

    /// Bytes that wait here for somebody slow.
    var heldBytes: Int { pending.count + inbound.count + exchange.heldBytes }

    /// Bytes that were passed on, either way. The end of an answer may wait here when its exchange is over.
    var bytesTaken: UInt64 { exchange.bytesTaken &- UInt64(pending.count) }

    override func shed() {
        endExchange()
        abort(.memory)
    }

    // MARK: From the client

    override func advance() {
        if isFinished {
            if awaitedClose != nil, input != .open { sayGoodbye() }
            return dropInput()
        }
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
        if input == .ended && exchange.phase == .tunnel {
            input = .told
            exchange.clientEnded()
        }
        return false
    }

    override func taken(_ count: Int) {
        http2.taken(slot, count)
    }

    override func readLess() {}

    override var wholeBodyBytes: Int? { input == .open ? nil : inbound.count }

    override var isHeldUp: Bool { http2.isInputHeldUp }

    // MARK: To the client

    override func push() -> WriteOutcome {
        guard submitStaged(ends: false) else { return .failed }
        return isBlocked ? .blocked : .sent
    }

    /// A little is copied and leaves at the turn's end; more goes out of `buffer` at once, as far as the windows allow.
    override func send(_ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        guard slot != nil else {
            buffer.consume(count)
            return .sent
        }
        guard submitStaged(ends: false) else { return .failed }
        guard pending.count + count <= Self.gathered else { return http2.send(self, &buffer, count) }
        pending.reserve(count, from: blocks)
        buffer.withReadable { pending.append($0.extracting(first: count)) }
        buffer.consume(count)
        offer()
        return isBlocked ? .blocked : .sent
    }

    override func finish() -> WriteOutcome {
        guard output != .end else { return .sent }
        guard submitStaged(ends: pending.isEmpty) else { return .failed }
        output = .end
        offer()
        return .sent
    }

    override func shutdownWriting() -> WriteOutcome { finish() }

    /// What is staged is a head, and after a final head trailers. False when the session does not take a final head, and
    /// so nothing that follows.
    private func submitStaged(ends: Bool) -> Bool {
        guard !staged.isEmpty, let slot else { return true }
        if output == .head {
            _ = staged.withReadable { http2.session.submitTrailers(slot, $0) }
        } else {
            let isFinal = exchange.answer.began
            let isTaken = staged.withReadable { http2.session.submitHead(slot, $0, ends: ends && isFinal) }
            if isFinal {
                guard isTaken else { return false }
                output = .head
            }
        }
        staged.removeAll()
        staged.recycle(into: blocks)
        http2.willSend(self)
        return true
    }

    /// Tells the session what could be sent.
    private func offer() {
        guard output != .nothing, let slot else { return }
        http2.session.setAvailable(slot, pending.count, ends: output == .end)
        http2.willSend(self)
    }

    /// The client's window holds up what is left of a larger piece.
    func windowIsShut() {
        waitsForWindow = true
        watchProgress()
    }

    /// The client takes next to nothing. The time runs from when it began to, whatever else it says meanwhile.
    private func watchProgress() {
        if stalledMs == nil { sinceStall = 0 }
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

    /// So many bytes of `pending` went out, `isLending` in front of a larger piece.
    func sent(_ count: Int, isLending: Bool) {
        pending.consume(count)
        if pending.isEmpty, !isLending, !waitsForWindow { tookAll() } else { noteProgress(count) }
    }

    /// So many bytes of DATA went out. A window that is opened byte by byte is no progress.
    func noteProgress(_ count: Int) {
        guard stalledMs != nil else { return }
        sinceStall += count
        if sinceStall >= Self.leastProgress { stalledMs = nil }
    }

    /// Nothing waits any more.
    func tookAll() { stalledMs = nil }

    /// After a turn's sending: what could not leave is watched.
    func settle() {
        awaitsSettling = false
        pending.recycle(into: blocks)
        if !pending.isEmpty {
            watchProgress()
        } else if let resetCode {
            return reset(resetCode)
        }
        if refusesRest, let slot, http2.session.hasSentEnd(slot) {
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
        refusesRest = unread || input == .open
    }

    override func cut(showsItsEnd: Bool, _ body: RequestBody) { resetBehindPending(.internalError) }

    /// Ends the answer short. A reset now would overtake its head and what is pending of its body.
    private func resetBehindPending(_ code: HTTP2Error) {
        guard slot != nil, output == .head else { return reset(code) }
        finishLife()
        waitsForWindow = false
        resetCode = code
        http2.willSend(self)
    }

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

    override func endTunnel(_ farewell: TunnelFarewell) {
        switch farewell {
        case .ended:
            _ = finish()
            finishLife()
            if input == .open {
                refusesRest = true
                http2.willSend(self)
            }
        // A connection of the container's that breaks is a reset here (RFC 8441 section 5).
        case .broken: resetBehindPending(.cancel)
        case .closing(let code):
            awaitedClose = slot != nil && input == .open ? code : nil
            if awaitedClose == nil { _ = finish() }
            finishLife()
            if input == .open { watch(.linger, afterMs: Self.closeMs) }
        }
    }

    /// The closing handshake is over, or has had its time.
    private func sayGoodbye() {
        awaitedClose = nil
        _ = finish()
        if input == .open { watch(.linger, afterMs: Self.closeMs) } else { watch(.none) }
    }

    /// How long a client may take to answer our close frame, and then to end its side.
    private static let closeMs = 1000

    /// DATA for an exchange that is over; it may be the answer to our close frame.
    func drop(_ bytes: borrowing Span<UInt8>) {
        if let code = awaitedClose, WebSocketClose.isAnswer(bytes, to: code) { sayGoodbye() }
    }

    /// The exchange is over.
    private func finishLife() {
        if life == .serving { life = .finished }
        watch(.none)
        dropInput()
        if life == .leaving { retire() }
    }

    private func reset(_ code: HTTP2Error) {
        finishLife()
        output = .end
        resetCode = nil
        awaitedClose = nil
        pending.removeAll()
        staged.removeAll()
        waitsForWindow = false
        guard let slot else { return }
        http2.session.reset(slot, code)
        http2.willSend(self)
    }

    /// Its place may be another stream's from now on; `closed` follows.
    func losesSlot() { slot = nil }

    /// The session is done with the stream: the client reset it, both sides have ended, or the connection is gone.
    func closed(_ code: UInt32, isLost: Bool = false) {
        guard life == .serving || life == .finished else { return }
        slot = nil
        refusesRest = false
        resetCode = nil
        let wasServing = life == .serving
        if wasServing, exchange.phase == .tunnel {
            let isOrderly = code == 0 && !isLost && output == .end && input != .open
            if isOrderly || owesLastWords {
                life = .leaving
                inputDidEnd()
                watch(.linger, afterMs: isOrderly ? worker.limits.upstream.responseMs : Self.lastWordsMs)
                return exchange.pumpTunnelToUpstream()
            }
        } else if wasServing, code != 0, exchange.phase == .requesting || exchange.phase == .answering {
            passBodyOn()
        }
        life = .over
        if wasServing {
            // What a client breaks off is broken off at the container too (RFC 8441 section 5).
            if code != 0 { exchange.upstream?.stream.abort(blocks) }
            endExchange()
        }
        finishLife()
        retire()
    }

    /// How long a container may take to read what came before its client broke off.
    private static let lastWordsMs = 5000

    /// Whether the container has yet to get what the client sent before it broke off, such as a close frame that comes
    /// together with a reset. An end follows these bytes then, as a reset would overtake them.
    private var owesLastWords: Bool {
        guard let upstream = exchange.upstream else { return false }
        return !inbound.isEmpty || upstream.stream.isBlocked || upstream.stream.hasUnsent
    }

    private func retire() {
        life = .over
        loop.deregister(self)
        pending.removeAll()
        pending.recycle(into: blocks)
        staged.removeAll()
        staged.recycle(into: blocks)
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
        case .linger where awaitedClose != nil: sayGoodbye()
        case .linger:
            endExchange()
            reset(.noError)
        default: _ = expiredForExchange()
        }
    }

    /// Has the client taken anything for so long?
    private func checkStall() {
        guard waitsForWindow || !pending.isEmpty else {
            stalledMs = nil
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
