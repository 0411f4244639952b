import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// One connection of a player, a server list or a scanner: read, placed, and then a tunnel or a refusal.
///
/// Lives on its loop's thread; the worker's list and the loop hold it until `close`.
final class PlayerConnection: EventSource {
    /// How far it has come, in the order of time.
    enum Phase {
        /// The PROXY header of a trusted proxy.
        case proxyHeader
        /// Handshake or legacy ping.
        case opening
        /// Login Start.
        case login
        /// Status request, or a ping without one.
        case status
        /// Somebody asks a backend for the status.
        case waiting
        /// The status went out; a ping may follow.
        case pong
        /// A backend is being connected.
        case dialing
        /// Bytes go both ways.
        case tunnel
        /// All is said; what the client still sends is thrown away until it closes.
        case closing
        case closed
    }

    /// How long a legacy ping that may be longer is waited for.
    private static let legacyWaitMs: UInt64 = 400
    /// How long a client may take to close after we have.
    private static let lingerMs: UInt64 = 1000
    /// To connect to a backend.
    static let connectMs: UInt64 = 2000

    let worker: MinecraftWorker
    var stream: Stream
    /// The bytes read before the tunnel: at most two frames and a few bytes more.
    var inbound = ByteBuffer()
    var phase = Phase.opening
    var peer: Endpoint
    var record: PlayerRecord
    private var ticket = SourceTable.Ticket.none
    /// One of the places for refusals, which counts no more against `limits.connections`.
    private var refusal: SourceTable.Ticket?
    /// Whether it counts against `limits.connections`.
    private var holdsPlace = false
    /// Whether it stalls, looked at while memory is short.
    var stallSample = StallSample()
    /// Seconds that a client over its limits is told to wait.
    private var limitedSeconds: Int?
    /// A trusted proxy speaks for itself: what it says of identities is its own business.
    private var isTrusted = false
    /// When the handshake must be over.
    private var handshakeEndMs: UInt64
    /// A legacy ping that is complete unless more comes.
    private var legacy: MinecraftLegacyPing?

    var handshake: MinecraftHandshake?
    var legacyPing: MinecraftLegacyPing?
    var host = MinecraftHost.none
    var route: RouteState?
    var tunnel = PlayerTunnel()

    init(_ stream: consuming Stream, peer: Endpoint, admission: PlayerAdmission?, worker: MinecraftWorker) {
        self.stream = stream
        self.peer = peer
        self.worker = worker
        record = PlayerRecord(startUs: worker.loop.nowUs)
        handshakeEndMs = worker.nowMs + UInt64(max(1, worker.settings.limits.minecraft.handshakeMs))
        super.init()
        if let admission { take(admission) } else { phase = .proxyHeader }
    }

    func start() {
        worker.add(self)
        if refusal == nil {
            worker.shared.places.take()
            holdsPlace = true
        }
        do {
            try worker.loop.register(self, stream.descriptor)
            watch(handshakeEndMs)
        } catch {
            close()
        }
    }

    private func take(_ admission: PlayerAdmission) {
        switch admission {
        case .admitted(let ticket): self.ticket = ticket
        case .limited(let reason, let seconds, let place):
            refusal = place
            givePlaceBack()
            limitedSeconds = seconds
            record.reason = reason.label
            // It has been told the time already; it does not get all of it.
            handshakeEndMs = min(handshakeEndMs, worker.nowMs + 2000)
        case .shutOut: break
        }
    }

    func watch(_ atMs: UInt64) { worker.loop.setDeadline(atMs, for: self) }

    // MARK: Events

    override func ready(_ events: Readiness) {
        stream.note(events)
        switch phase {
        case .closed, .dialing: return
        case .tunnel: pumpTunnel()
        case .closing: closeFurther()
        default:
            if stream.flush(worker.blocks) == .failed { return close() }
            proceed()
        }
    }

    override func resumed() { if phase == .tunnel { pumpTunnel() } }

    override func expired() {
        switch phase {
        case .closed: break
        case .closing, .pong: close()
        case .dialing: dialEnded(.timeout)
        case .tunnel: checkTunnel()
        case .waiting: serveFallback()
        case .opening:
            if let legacy { return serveLegacy(legacy) }
            handshakeTimedOut()
        case .proxyHeader, .login, .status: handshakeTimedOut()
        }
    }

    private func handshakeTimedOut() {
        record.finish(.timeout, .minecraftHandshake)
        worker.metrics.refused(.minecraft, .minecraftHandshake)
        if phase != .proxyHeader { worker.penalise(peer.address, .slowHandshake) }
        close()
    }

    // MARK: Reading

    /// Reads and understands until nothing more can be.
    private func proceed() {
        while true {
            guard phase.isReading else { return }
            if understand() { continue }
            guard phase.isReading else { return }
            switch receive() {
            case .bytes: continue
            case .blocked: return
            case .ended: return clientLeft()
            case .failed: return clientLeft()
            }
        }
    }

    /// Reads into a buffer of the connection's own that never grows beyond two frames.
    private func receive() -> ReadOutcome {
        if inbound.capacity == 0 { inbound = ByteBuffer(capacity: 536) }
        if inbound.room == 0 {
            guard inbound.capacity < 2048 else { return .failed }
            inbound.reserve(inbound.capacity - inbound.count + 1)
        }
        return stream.read(into: &inbound, limit: inbound.room, worker.blocks)
    }

    private func clientLeft() {
        if phase == .opening, let legacy { return serveLegacy(legacy) }
        if phase != .pong { record.finish(.closed, nil) }
        close()
    }

    /// Takes the next thing that has come whole; false when more is needed.
    private func understand() -> Bool {
        switch phase {
        case .proxyHeader: readProxyHeader()
        case .opening: readOpening()
        case .login: readLogin()
        case .status, .pong: readStatusRequest()
        default: false
        }
    }

    private func readProxyHeader() -> Bool {
        switch inbound.withReadable({ ProxyHeader.parse($0) }) {
        case .partial: return false
        case .malformed:
            // The proxy's fault, not a player's: nobody is punished.
            reject(penalty: nil)
        case .complete(let count, let source):
            inbound.consume(count)
            if let source { peer = source } else { isTrusted = true }
            phase = .opening
            let admission = worker.admit(peer.address)
            if case .shutOut = admission {
                record.isCounted = true
                close()
            } else {
                take(admission)
                watch(handshakeEndMs)
            }
        }
        return true
    }

    private func readOpening() -> Bool {
        switch inbound.withReadable({ MinecraftOpening.parse($0) }) {
        case .partial:
            // What looked like a legacy ping is longer: it has all the time again.
            if legacy != nil { watch(handshakeEndMs) }
            legacy = nil
            return false
        case .partialLegacy(let ping):
            legacy = ping
            watch(min(handshakeEndMs, worker.nowMs + Self.legacyWaitMs))
            return false
        case .malformed: reject(penalty: .malformed)
        case .legacy(let ping): serveLegacy(ping)
        case .oldLogin:
            record.intent = .legacy
            refuseLegacy("Outdated client: 1.7 or newer is needed", .malformed, .badRequest)
        case .handshake(let found): read(found)
        }
        return true
    }

    private func read(_ found: MinecraftHandshake) {
        legacy = nil
        watch(handshakeEndMs)
        handshake = found
        host = inbound.withReadable { MinecraftHost.read($0, found.hostRange) }
        switch found.intent {
        case .status: record.intent = .status
        case .login: record.intent = .login
        case .transfer: record.intent = .transfer
        }
        phase = found.intent == .status ? .status : .login
        guard host == .forged, !isTrusted else { return }
        worker.penalise(peer.address, .forgedForwarding)
        worker.metrics.refused(.minecraft, .forbidden)
        if found.intent == .status {
            record.finish(.forged, .forbidden)
            close()
        } else {
            refuseLogin(worker.settings.messages.unknownHost, .forged, .forbidden)
        }
    }

    private func readLogin() -> Bool {
        guard let handshake else { return false }
        switch inbound.withReadable({ MinecraftLoginStart.parse($0, from: handshake.byteCount) }) {
        case .partial: return false
        case .malformed: reject(penalty: .malformed)
        case .complete(let start):
            if worker.settings.logsPlayerNames {
                record.player = inbound.withReadable { $0.extracting(start.nameRange).text() }
            }
            placeLogin()
        }
        return true
    }

    private func readStatusRequest() -> Bool {
        guard let handshake else { return false }
        switch inbound.withReadable({ MinecraftStatusRequest.parse($0, from: handshake.byteCount) }) {
        case .partial: return false
        case .malformed: reject(penalty: phase == .status ? .malformed : nil)
        case .status(let end):
            // A second request ends the connection, as servers do.
            if phase == .pong { return closeAfterStatus() }
            // What was read of the status is not needed again; the ping follows where it was.
            inbound.remove(handshake.byteCount..<end)
            placeStatus()
        case .ping(let payload):
            var pong = ByteBuffer(capacity: 16)
            inbound.withReadable { MinecraftReply.appendPong($0, payload, to: &pong) }
            if phase == .status, !takeStatusToken() { return true }
            record.finish(.ok, nil)
            say(pong)
        }
        return true
    }

    private func closeAfterStatus() -> Bool {
        close()
        return true
    }

    // MARK: Ends

    /// Not Minecraft: closed at once, counted, never a line each.
    func reject(penalty: Misdeed?) {
        record.finish(.malformed, .badRequest)
        worker.metrics.refused(.minecraft, .badRequest)
        if let penalty { worker.penalise(peer.address, penalty) }
        close()
    }

    /// Whether one more refusal may be spoken.
    func mayRefuse() -> Bool {
        if refusal != nil { return true }
        refusal = worker.takeRefusal(peer.address)
        if refusal != nil { givePlaceBack() }
        return refusal != nil
    }

    /// A Login Disconnect with a text, and a clean close.
    func refuseLogin(_ text: ChatText, _ result: MinecraftResult, _ reason: RefusalReason) {
        record.finish(result, reason)
        guard mayRefuse() else { return close() }
        var packet = ByteBuffer(capacity: 256)
        MinecraftReply.appendLoginDisconnect(json: text.json, to: &packet)
        say(packet)
    }

    /// A status of ours with a text; its ping is answered.
    func refuseStatus(_ text: ChatText, _ result: MinecraftResult, _ reason: RefusalReason) {
        record.finish(result, reason)
        guard mayRefuse() else { return close() }
        let json = MinecraftStatus.synthetic(protocolVersion: handshake?.protocolVersion ?? 0, description: text.json)
        var packet = ByteBuffer(capacity: 256)
        MinecraftReply.appendStatus(json: json.utf8Span.span, to: &packet)
        sendStatus(packet)
    }

    /// The kick of old clients, which is also the answer to their pings.
    func refuseLegacy(_ text: String, _ result: MinecraftResult, _ reason: RefusalReason) {
        record.finish(result, reason)
        guard mayRefuse() else { return close() }
        var packet = ByteBuffer(capacity: 256)
        MinecraftReply.appendLegacyKick(text, to: &packet)
        say(packet)
    }

    /// Sends a status packet and waits for the ping.
    func sendStatus(_ packet: borrowing ByteBuffer) {
        phase = .pong
        watch(worker.nowMs + UInt64(max(1, worker.settings.limits.minecraft.handshakeMs)))
        if packet.withReadable({ stream.send($0, worker.blocks) }) == .failed { return close() }
        // The request and the ping often come together.
        proceed()
    }

    /// The last words.
    func say(_ bytes: borrowing ByteBuffer) {
        if bytes.withReadable({ stream.send($0, worker.blocks) }) == .failed { return close() }
        closePolitely()
    }

    /// Sends what is pending and FIN, and waits for the client's: closing on unread input would make the kernel send a
    /// reset, and the client might never show what it got.
    func closePolitely() {
        guard phase != .closed else { return }
        phase = .closing
        inbound = ByteBuffer()
        if stream.shutdownWriting(worker.blocks) == .failed { return close() }
        watch(worker.nowMs + Self.lingerMs)
        closeFurther()
    }

    private func closeFurther() {
        if stream.flush(worker.blocks) == .failed { return close() }
        for _ in 0..<8 {
            let outcome = stream.read(into: &worker.scratch, worker.blocks)
            worker.scratch.removeAll()
            switch outcome {
            case .bytes: continue
            case .blocked: return
            case .ended: return stream.didShutdownWriting ? close() : ()
            case .failed: return close()
            }
        }
        // Somebody pours in more than a farewell.
        close()
    }

    private func givePlaceBack() {
        if holdsPlace { worker.shared.places.giveBack() }
        holdsPlace = false
    }

    /// Bytes that wait for somebody slow.
    var heldBytes: Int { stream.pendingBytes + inbound.count + (tunnel.link?.stream.pendingBytes ?? 0) }

    /// Bytes that those at both ends have taken.
    var bytesTaken: UInt64 {
        let taken = stream.bytesWritten &- UInt64(stream.pendingBytes)
        guard let link = tunnel.link else { return taken }
        return taken &+ link.stream.bytesWritten &- UInt64(link.stream.pendingBytes)
    }

    /// When it goes to make room for others, `nil` while it is of use.
    var idleOrder: UInt64? {
        guard phase.isReading, holdsPlace else { return nil }
        return IdleOrder.unfinished(sinceMs: record.startUs / 1000, nowMs: worker.nowMs)
    }

    /// Ends it for the sake of others.
    func shed(_ reason: RefusalReason) {
        record.finish(.limited, reason)
        worker.metrics.refused(.minecraft, reason)
        tunnel.endReason = reason.label
        stream.abort(worker.blocks)
        tunnel.link?.stream.abort(worker.blocks)
        close()
    }

    /// Ends everything now.
    func close() {
        guard phase != .closed else { return }
        phase = .closed
        endTunnel()
        worker.loop.deregister(self, stream.descriptor)
        finishRecord()
        worker.shared.sources.disconnect(ticket)
        ticket = .none
        if let refusal { worker.endRefusal(refusal) }
        refusal = nil
        givePlaceBack()
        Socket.shutdownWriting(stream.descriptor)
        worker.retire(self)
        worker.remove(self)
    }

    /// The gateway ends.
    func drain(afterMs: UInt64) {
        switch phase {
        case .tunnel:
            tunnel.drainAtMs = worker.nowMs + afterMs
            checkTunnel()
        case .dialing:
            endTunnel()
            refuseLogin(worker.settings.messages.draining, .draining, .drain)
        case .login: refuseLogin(worker.settings.messages.draining, .draining, .drain)
        case .status, .waiting: refuseStatus(worker.settings.messages.draining, .draining, .drain)
        case .proxyHeader, .opening: close()
        case .pong, .closing, .closed: break
        }
    }

    var isOverLimit: Int? { limitedSeconds }
}

extension PlayerConnection.Phase {
    /// Whether the client's bytes are looked at one packet after the other.
    var isReading: Bool {
        switch self {
        case .proxyHeader, .opening, .login, .status, .pong: true
        case .waiting, .dialing, .tunnel, .closing, .closed: false
        }
    }
}
