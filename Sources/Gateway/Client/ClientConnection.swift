import Identity
import Limits
import Observe
import Reactor
import TLS
import Transport
import Wire

/// One client's connection: TLS, and either the requests of HTTP/1 one after the other, with after an upgrade the
/// client's half of a tunnel, or all that is HTTP/2. Owned by its worker, used on its thread.
final class ClientConnection: Downstream {
    enum Phase {
        /// The PROXY header of a trusted proxy.
        case proxyHeader
        case handshake
        /// Requests, or a tunnel: `exchange.phase` says which.
        case open
        /// Our side is shut; what the client still sends is read and dropped, so that it gets our last words and no
        /// reset (RFC 9112 section 9.6).
        case lingering
        case closed
    }

    var stream: Stream
    var peer: Endpoint
    var ticket: SourceTable.Ticket
    let listenerPort: UInt16
    var scan = HeadScan()
    /// Why a head is refused whose rest is awaited for a moment, as it may tell who reads the answer.
    var refusedHead: GatewayFailure?
    var phase: Phase
    /// Everything of HTTP/2, once ALPN chose it.
    var http2: HTTP2Connection?
    /// The session whose cookie came last, so that an unchanged cookie is compared and not opened again.
    private var knownSession: Session?
    private var knownCookie = ByteBuffer()
    /// The Host that came last and the vmid it names: browsers send the same one with every request of a connection.
    var knownAuthority = ByteBuffer()
    var knownVMID: UInt32 = 0
    /// What `renderForwarded` made for that Host.
    var forwarded = ByteBuffer()
    var idleSinceMs: UInt64
    private var farewell = Farewell.plain
    private var lingerUntilMs: UInt64 = 0
    private var lingerBytes: UInt64 = 0
    /// What the client had not acknowledged when it began to stall.
    private var stalledBytes = 0
    private var keyUpdateWindow = (startMs: UInt64(0), count: UInt32(0))
    private var countedIn: UInt64 = 0
    private var countedOut: UInt64 = 0

    init(
        _ stream: consuming Stream, peer: Endpoint, ticket: SourceTable.Ticket, awaitsProxyHeader: Bool, port: UInt16,
        worker: Worker
    ) {
        self.stream = stream
        self.peer = peer
        self.ticket = ticket
        listenerPort = port
        phase = awaitsProxyHeader ? .proxyHeader : .handshake
        idleSinceMs = worker.nowMs
        super.init(worker)
        exchange = Exchange(self)
    }

    /// Joins the loop. Called once.
    func start() {
        worker.shared.take()
        worker.add(self)
        worker.metrics.connectionOpened(listenerLabel)
        do {
            try loop.register(self, stream.descriptor)
        } catch {
            close(.connections)
            return
        }
        watch(.handshake, afterMs: worker.limits.tls.handshakeMs)
    }

    override var connection: ClientConnection { self }
    override var httpProtocol: HTTPProtocol { .http1 }
    override var isOpen: Bool { phase == .open }
    override var isBlocked: Bool { stream.isBlocked }
    override var isWriteShutdown: Bool { stream.isWriteShutdown }

    override var sendRoom: Int { stream.sendRoom }

    var isSecure: Bool { stream.tls != nil }

    var listenerLabel: ListenerLabel { isSecure ? .https : .http }

    /// When it goes to make room for others (`IdleOrder`), `nil` while it is of use.
    var idleOrder: UInt64? {
        switch phase {
        case .proxyHeader, .handshake: break
        case .open:
            // The rest of a body that was refused is of no use to anybody.
            let isDiscarding = exchange?.phase == .discarding
            let isResting = isDiscarding || http2.map { $0.openStreams == 0 } ?? (exchange.phase == .idle)
            guard isResting, !stream.isBlocked else { return nil }
            // One that has yet to ask for anything is a newcomer itself: newcomers would close each other's connections.
            if !isDiscarding, watch != .opening, inbound.isEmpty, !(http2?.isInsideHead ?? false) {
                return IdleOrder.idle(sinceMs: idleSinceMs)
            }
        case .lingering: guard case .refusedBody = farewell else { return nil }
        case .closed: return nil
        }
        return IdleOrder.unfinished(sinceMs: idleSinceMs, nowMs: worker.nowMs)
    }

    /// Whether the rest of a request's body is still to come.
    var awaitsBody: Bool { phase == .open && exchange?.awaitsBody ?? false }

    /// Bytes that wait here for somebody slow.
    var heldBytes: Int {
        stream.pendingBytes + inbound.count + (http2?.heldBytes ?? exchange?.heldBytes ?? 0)
    }

    /// Bytes that those at both ends have taken.
    var bytesTaken: UInt64 {
        let taken = stream.bytesWritten &- UInt64(stream.pendingBytes)
        guard let upstream = exchange?.upstream else { return taken }
        return taken &+ upstream.stream.bytesWritten &- UInt64(upstream.stream.pendingBytes)
    }

    override func shed() {
        endExchanges()
        abort(.memory)
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        stream.note(events)
        if stream.isBlocked && events.contains(.writable) {
            switch stream.flush(blocks) {
            case .sent: drained()
            case .blocked: noteProgress()
            case .failed: return lost()
            }
            if phase == .closed { return }
        }
        if http2 != nil { return readyHTTP2(events) }
        if !events.isDisjoint(with: [.error, .hangup]) && phase == .open && exchange.isWaitingForUpstream {
            return lost()
        }
        advance()
        if phase == .open, http2 == nil, events.contains(.peerClosed) { exchange.clientStoppedSending() }
        if phase == .open, http2 == nil, !events.isDisjoint(with: [.error, .hangup]) { exchange.clientHungUp() }
    }

    override func resumed() { advance() }

    /// Goes as far as the bytes at hand allow.
    override func advance() {
        switch phase {
        case .proxyHeader: readProxyHeader()
        case .handshake: shakeHands()
        case .open: if let http2 { http2.advance() } else { advanceHTTP1() }
        case .lingering: dropInput()
        case .closed: break
        }
    }

    private func shakeHands() {
        switch stream.handshake(blocks) {
        case .done:
            noteHandshake(.ok)
            phase = .open
            idleSinceMs = worker.nowMs
            if stream.tls?.isHTTP2 ?? false {
                beginHTTP2()
            } else {
                watch(.opening, afterMs: worker.limits.headers.timeoutMs)
            }
            advance()
        case .wouldBlock: break
        case .ended, .failed:
            // A client that leaves without a byte is a probe, no handshake that failed.
            noteHandshake(stream.tls?.hasReceived ?? false ? .failed : .closed)
            close(nil)
        }
    }

    private func noteHandshake(_ result: HandshakeResult) {
        guard let tls = stream.tls else { return }
        worker.metrics.handshake(tls.isTLS13 ? .tls13 : .tls12, resumed: tls.isResumed, result)
    }

    override func readMore(limit: Int = .max) -> Bool {
        // What HTTP/2 reads goes to its streams at once, whose windows bound it.
        let most = worker.readLimit(
            next: stream.nextRead, room: http2 == nil ? exchange.upstream?.stream.sendRoom ?? 0 : .max)
        switch stream.read(into: &inbound, limit: min(limit, most), blocks) {
        case .bytes:
            return keepsUpdateRate()
        case .blocked:
            inbound.recycle(into: blocks)
            // Key updates come without a byte for us.
            _ = keepsUpdateRate()
            return false
        case .ended:
            ended()
            return false
        case .failed:
            lost()
            return false
        }
    }

    /// TLS 1.3 key updates cost us and nobody needs many (`limits.tls.key_updates`).
    private func keepsUpdateRate() -> Bool {
        guard let tls = stream.tls, tls.keyUpdates != keyUpdateWindow.count else { return true }
        let limit = worker.limits.tls.keyUpdates
        if worker.nowMs &- keyUpdateWindow.startMs > UInt64(limit.perSeconds * 1000) {
            keyUpdateWindow = (worker.nowMs, tls.keyUpdates)
            return true
        }
        guard Int(tls.keyUpdates &- keyUpdateWindow.count) > limit.count else { return true }
        close(.tlsKeyUpdates)
        return false
    }

    /// The client sends no more.
    private func ended() {
        switch phase {
        case .open: if http2 != nil { close(nil) } else { exchange.clientEnded() }
        default: close(nil)
        }
    }

    override func taken(_ count: Int) {}

    override func readLess() { stream.readLess() }

    /// The connection broke.
    override func lost() {
        if phase == .open { endExchanges() }
        close(nil)
    }

    private func endExchanges() {
        if let http2 { http2.lost() } else { exchange.clientLost() }
    }

    // MARK: Writing

    override func push() -> WriteOutcome {
        if staged.isEmpty { return stream.isBlocked ? .blocked : .sent }
        let outcome = staged.withReadable { stream.send($0, blocks) }
        staged.removeAll()
        staged.recycle(into: blocks)
        if outcome == .blocked { watchStall() }
        return outcome
    }

    /// Takes all of them. Small ones are put with what is staged, so that they share a TLS record.
    override func send(_ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        var left = count
        if !staged.isEmpty {
            let fits = max(0, min(count, Stream.smallRead - staged.count))
            buffer.withReadable { staged.append($0.extracting(first: fits)) }
            buffer.consume(fits)
            left -= fits
            if left == 0 { return stream.isBlocked ? .blocked : .sent }
            if push() == .failed { return .failed }
        }
        let outcome = buffer.withReadable { stream.send($0.extracting(first: left), blocks) }
        buffer.consume(left)
        if outcome == .blocked { watchStall() }
        return outcome
    }

    override func finish() -> WriteOutcome { push() }

    override func shutdownWriting() -> WriteOutcome { stream.shutdownWriting(blocks) }

    /// The client took everything that waited.
    private func drained() {
        if watch == .stall { watchAgain() }
        guard phase == .open else { return }
        if let http2 { http2.drained() } else { exchange.clientDrained() }
    }

    /// The client took some of what waits.
    private func noteProgress() {
        guard watch == .stall else { return }
        beganToStall()
        watch(.stall, afterMs: worker.limits.responseStallMs)
        if phase == .open && http2 == nil { exchange.checkTunnel() }
    }

    override func beganToStall() { stalledBytes = stream.undeliveredBytes }

    /// After a stall: what is to be watched now.
    private func watchAgain() {
        watch(.none)
        if phase == .lingering {
            watchLinger()
        } else if phase == .open {
            if let http2 { http2.watch() } else { exchange.watchAgain() }
        }
    }

    // MARK: Deadlines

    override func expired() {
        switch watch {
        case .none: break
        case .handshake:
            penalise(.slowHandshake)
            noteHandshake(.timeout)
            close(.tlsHandshake)
        case .opening:
            // Browsers connect ahead of need: that is counted, and no news.
            worker.metrics.refused(.https, .headersTimeout)
            if let http2 { http2.leave(nil) } else { closePolitely(nil) }
        case .keepAlive: if let http2 { http2.idled() } else { closePolitely(.keepAlive) }
        case .head:
            if let http2 { http2.headTookTooLong() } else { headTookTooLong() }
        case .stall:
            // The kernel reports room late: a slow client may have taken a lot meanwhile.
            if stream.undeliveredBytes + Self.leastProgress <= stalledBytes { return noteProgress() }
            endExchanges()
            abort(.responseStall)
        case .drain where http2 != nil: http2?.goAway()
        case .linger: lingered()
        case .farewell: close(nil)
        case .body, .queued, .halfClosed, .tunnel, .tunnelClose, .drain: _ = expiredForExchange()
        }
    }

    // MARK: The end

    override func answered(unread: Bool) { answeredHTTP1(unread: unread) }

    override func cut(showsItsEnd: Bool, _ body: RequestBody) {
        closePolitely(nil, showsItsEnd ? farewell(behind: body) : .cut)
    }

    override func endTunnel(_ farewell: TunnelFarewell) {
        switch farewell {
        case .ended, .broken: closePolitely(nil)
        case .closing(let code): closePolitely(nil, .closing(code))
        }
    }

    /// What is still due to the client when the connection ends.
    enum Farewell {
        /// The end of an answer, or nothing.
        case plain
        /// The answer to a request whose body is still coming: so many bytes, `nil` when the client did not say. Some
        /// clients read nothing before they have sent everything.
        case refusedBody(UInt64?)
        /// A close frame of this code, `nil` when none could be sent.
        case closing(UInt16?)
        /// Part of an answer whose framing does not show that it is not the whole: a reset does, once the part has arrived.
        case cut

        /// How long the connection may linger in all.
        fileprivate var atMostMs: UInt64 {
            switch self {
            case .plain, .cut: 5000
            case .refusedBody: 15 * 60_000
            case .closing: 1000
            }
        }

        /// How many bytes of the client are read and dropped.
        fileprivate var atMostBytes: UInt64 {
            if case .refusedBody(let left?) = self { left } else { 1 << 30 }
        }
    }

    private static let silenceMs: UInt64 = 2000

    /// Says goodbye in TLS and TCP, waits for the client to do the same, then closes.
    ///
    /// What the client has not taken yet is still sent, as slowly as `limits.response_stall` allows. What it still sends is
    /// read for a while, as closing earlier would be a reset that may cost it the answer (RFC 9112 section 9.6).
    func closePolitely(_ reason: RefusalReason?, _ farewell: Farewell = .plain) {
        guard phase == .open || phase == .handshake else { return close(reason) }
        if push() == .failed { return close(reason) }
        switch farewell {
        case .closing(.some), .cut: break
        case .plain, .refusedBody, .closing(nil):
            if stream.shutdownWriting(blocks) == .failed { return close(reason) }
        }
        if let reason { worker.refuse(reason, peer.address) }
        if let http2 { http2.lost() }
        phase = .lingering
        self.farewell = farewell
        lingerBytes = farewell.atMostBytes
        lingerUntilMs = .max
        watch(.none)
        if case .closing = farewell { watchLinger() } else if stream.isBlocked { watchStall() } else { watchLinger() }
        loop.runAgain(self)
    }

    private func watchLinger() {
        let now = worker.nowMs
        if lingerUntilMs == .max {
            lingerUntilMs = now &+ farewell.atMostMs
            bodyWindow = (now, 0)
        }
        let leftMs = lingerUntilMs > now ? lingerUntilMs &- now : 0
        let lookMs: UInt64 =
            switch farewell {
            case .plain: Self.silenceMs
            case .refusedBody: bodyWindow.bytes > 0 ? UInt64(worker.limits.body.overMs) : Self.silenceMs
            case .closing: leftMs
            case .cut: 20
            }
        watch(.linger, afterMs: Int(min(leftMs, lookMs)))
    }

    /// The time that `watchLinger` set is over.
    private func lingered() {
        let isOver = worker.nowMs >= lingerUntilMs
        switch farewell {
        case .plain: close(nil)
        case .refusedBody:
            // A client that sends nothing is not in the middle of its body.
            if isOver || bodyWindow.bytes == 0 { return close(nil) }
            if worker.nowMs &- bodyWindow.startMs >= UInt64(worker.limits.body.overMs) {
                guard bodyWindow.bytes >= worker.limits.body.leastBytes else { return close(.bodyMinimumRate) }
                bodyWindow = (worker.nowMs, 0)
            }
            watchLinger()
        case .closing: closingIsOver()
        case .cut: if isOver || stream.undeliveredBytes == 0 { abort(nil) } else { watchLinger() }
        }
    }

    /// The client answered our close frame, or had its time to.
    private func closingIsOver() {
        if stream.isBlocked || stream.isWriteShutdown || stream.shutdownWriting(blocks) == .failed { return close(nil) }
        lingerOn(.closing(nil))
    }

    private func lingerOn(_ farewell: Farewell) {
        self.farewell = farewell
        lingerBytes = farewell.atMostBytes
        lingerUntilMs = .max
        watchLinger()
    }

    /// The gateway goes down and waits no longer for a refused body.
    func lingerLess() { if case .refusedBody = farewell, watch == .linger { lingerOn(.plain) } }

    private func dropInput() {
        var budget = 1 << 20
        while phase == .lingering {
            let held = inbound.count
            let outcome = stream.read(into: &inbound, limit: worker.readLimit, blocks)
            let count = inbound.count
            budget -= count
            bodyWindow.bytes &+= UInt64(count - held)
            lingerBytes = lingerBytes > UInt64(count) ? lingerBytes &- UInt64(count) : 0
            if case .closing(let code?) = farewell, inbound.withReadable({ WebSocketClose.isAnswer($0, to: code) }) {
                closingIsOver()
                if phase != .lingering { return }
            }
            inbound.removeAll()
            if lingerBytes == 0 {
                guard case .refusedBody(.some) = farewell else { return close(nil) }
                // The whole body has come.
                if watch == .linger { lingerOn(.plain) } else { farewell = .plain }
            }
            switch outcome {
            case .bytes:
                if case .plain = farewell, watch == .linger { watchLinger() }
                if budget <= 0 { return loop.runAgain(self) }
            case .blocked:
                inbound.recycle(into: blocks)
                return
            // The kernel still delivers what it has; only our own bytes would be lost with the descriptor.
            case .ended, .failed:
                if outcome == .ended {
                    var waits = stream.isBlocked
                    if case .cut = farewell { waits = true }
                    if waits { return inbound.recycle(into: blocks) }
                }
                return close(nil)
            }
        }
    }

    override func abort(_ reason: RefusalReason?) {
        if phase == .closed { return }
        stream.abort(blocks)
        close(reason)
    }

    /// The one way out; safe to call again.
    override func close(_ reason: RefusalReason?) {
        if phase == .closed { return }
        let wasOpen = phase == .open
        phase = .closed
        if let reason { worker.refuse(reason, peer.address) }
        loop.deregister(self, stream.descriptor)
        if wasOpen { endExchanges() }
        if case .cut = farewell { stream.abort(blocks) }
        if !stream.isWriteShutdown && !stream.isBlocked { _ = stream.shutdownWriting(blocks) }
        countBytes()
        worker.metrics.connectionClosed(listenerLabel)
        worker.shared.sources.disconnect(ticket)
        inbound = ByteBuffer()
        staged = ByteBuffer()
        forgetSession()
        worker.remove(self)
        worker.retire(self)
    }

    /// Adds what moved since the last call to the metrics.
    func countBytes() {
        let (metrics, listenerLabel) = (worker.metrics, self.listenerLabel)
        metrics.bytes(listenerLabel, .received, Int(stream.bytesRead &- countedIn))
        metrics.bytes(listenerLabel, .sent, Int(stream.bytesWritten &- countedOut))
        countedIn = stream.bytesRead
        countedOut = stream.bytesWritten
    }

    /// Lets go of what only further requests would need: the connection is a tunnel from now on.
    func forgetRequests() {
        knownAuthority = ByteBuffer()
        forwarded = ByteBuffer()
        forgetSession()
    }

    // MARK: The session

    /// The session that this cookie opened last, for this vmid.
    func remembered(_ cookie: borrowing Span<UInt8>, _ vmid: UInt32) -> Session? {
        guard let session = knownSession, session.vmid == vmid,
            knownCookie.withReadable({ HTTPSpan.equal($0, cookie) })
        else { return nil }
        return session
    }

    func remember(_ session: Session, _ cookie: borrowing Span<UInt8>) {
        knownSession = session
        knownCookie.removeAll()
        knownCookie.append(cookie)
    }

    func forgetSession() {
        knownSession = nil
        knownCookie = ByteBuffer()
    }
}
