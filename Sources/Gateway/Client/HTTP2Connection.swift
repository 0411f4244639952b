import HTTP2
import Limits
import Observe
import Reactor
import Transport
import Wire

/// What HTTP/2 adds to a client's connection: the session, its streams, and whose turn it is to send. Owned by its
/// connection, used on its thread.
///
/// What arrives is noted while its bytes are lent and acted on afterwards; requests begin at the end of the loop's turn,
/// where also everything that is to be sent leaves, in few records and system calls.
final class HTTP2Connection {
    /// The connection under it; the two hold each other until the turn in which it is closed is over.
    let client: ClientConnection
    let session: HTTP2Session
    private let worker: Worker
    /// By the session's slots.
    private var streams: [HTTP2Stream?] = []
    private(set) var openStreams = 0
    /// Requests of this turn.
    private var arrived: [HTTP2Stream] = []
    /// Streams that something came for.
    private var touched: [HTTP2Stream] = []
    /// Streams that the session is done with, and why.
    private var ended: [(stream: HTTP2Stream, code: UInt32)] = []
    private var windowOpened = false
    /// Streams that have submitted something in this turn.
    private var submitters: [HTTP2Stream] = []
    private var awaitsTurnEnd = false
    /// Whose turn it is when the client can take more.
    private var nextSlot = 0
    private var headSinceMs: UInt64?
    private var isGoingAway = false
    private(set) var isShutOut = false
    private static let readsPerTurn = 32
    /// Refusals of the session's that were counted.
    private var counted = (streams: 0, trailers: 0)
    /// Request bytes that no container has taken.
    private(set) var heldInput = 0

    init?(_ client: ClientConnection) {
        self.client = client
        worker = client.worker
        let limits = worker.limits
        guard
            let session = HTTP2Session(
                HTTP2Settings(
                    streams: limits.http2.streams, connectionWindow: limits.http2.window,
                    headBytes: limits.headers.bytes, headFields: limits.headers.fields,
                    abuse: (limits.http2.abuse.count, Int(limits.http2.abuse.perSeconds * 1000)),
                    newStreams: limits.http2.perTurn))
        else { return nil }
        self.session = session
        comeBack()
    }

    var heldBytes: Int {
        var sum = 0
        for case let stream? in streams { sum += stream.heldBytes }
        return sum
    }

    var awaitsBody: Bool { streams.contains { $0?.exchange.awaitsBody ?? false } }

    // MARK: From the client

    /// Takes the frames at hand.
    func advance() {
        var reads = 0
        while client.phase == .open && !isShutOut {
            reads += 1
            if arrived.count >= worker.limits.http2.perTurn || reads > Self.readsPerTurn {
                return worker.loop.runAgain(client)
            }
            if client.inbound.isEmpty {
                guard client.readMore() else { break }
            }
            guard receive() else { break }
        }
        if client.phase == .open { watch() }
    }

    /// Feeds the session; whether to go on.
    private func receive() -> Bool {
        var consumed = 0
        let outcome = client.inbound.withReadable { bytes in
            let outcome = session.receive(bytes, nowMs: worker.nowMs)
            while let event = session.takeEvent() { note(event, bytes) }
            return outcome
        }
        if case .taken(let count) = outcome { consumed = count }
        client.inbound.consume(consumed)
        comeBack()
        settle()
        switch outcome {
        case .taken(let count): return count > 0
        case .abuse:
            shutOut()
            return false
        case .failed:
            // It has said so itself, by a GOAWAY.
            client.penalise(.malformed)
            part(session.hasFarTooManyFields ? .headersFields : .badRequest)
            return false
        }
    }

    /// Takes note of an event, while the bytes it speaks of are lent.
    private func note(_ event: HTTP2Event, _ bytes: borrowing Span<UInt8>) {
        switch event {
        case .request(let slot, let range, let ends, let isTunnel):
            let stream = open(slot)
            session.withHeads { stream.decide($0.extracting(range), ends: ends, isTunnel: isTunnel) }
        case .refused(let slot, let refusal, let method, let ends):
            let stream = open(slot)
            if ends { stream.inputDidEnd() }
            stream.refuse(GatewayFailure(refusal), method: method)
        case .data(let slot, let range):
            guard let stream = stream(slot), !stream.isFinished else { return session.consumed(slot, range.count) }
            heldInput += range.count
            stream.receive(bytes.extracting(range))
            if touched.last !== stream { touched.append(stream) }
        case .ended(let slot):
            guard let stream = stream(slot) else { return }
            stream.inputDidEnd()
            touched.append(stream)
        case .closed(let slot, let code):
            guard let stream = stream(slot) else { return }
            streams[slot] = nil
            openStreams -= 1
            ended.append((stream, code))
        case .windowOpened(let slot):
            if slot < 0 { windowOpened = true } else if let stream = stream(slot) { touched.append(stream) }
        case .goAway: client.closesAfterAnswer = true
        }
    }
    private func stream(_ slot: Int) -> HTTP2Stream? { slot < streams.count ? streams[slot] : nil }

    private func open(_ slot: Int) -> HTTP2Stream {
        while streams.count <= slot { streams.append(nil) }
        let stream = worker.takeStream()
        stream.begin(self, slot: slot)
        streams[slot] = stream
        openStreams += 1
        arrived.append(stream)
        return stream
    }

    /// Acts on what was noted.
    private func settle() {
        for (stream, code) in ended {
            // What came with the client's end still goes to the container.
            if code == 0 { stream.advance() }
            stream.closed(code)
        }
        ended.removeAll(keepingCapacity: true)
        for stream in touched where stream.http2 === self {
            stream.advance()
            resume(stream)
        }
        touched.removeAll(keepingCapacity: touched.count <= 256)
        if windowOpened {
            windowOpened = false
            resumeStreams()
        }
    }

    /// A container, or nobody, took so many bytes of a stream's body: the windows open again.
    func taken(_ slot: Int, _ count: Int) {
        heldInput -= count
        session.consumed(slot, count)
        comeBack()
    }

    /// The container of one stream may hold up its body for as long as it likes, but not longer than the connection's
    /// window lasts: then the others' clients are not to blame for sending nothing.
    var isInputHeldUp: Bool { heldInput * 2 >= worker.limits.http2.window }

    // MARK: To the client

    /// The stream has something for the session.
    func willSend(_ stream: HTTP2Stream) {
        submitters.append(stream)
        comeBack()
    }

    private func comeBack() {
        guard !awaitsTurnEnd else { return }
        awaitsTurnEnd = true
        worker.awaitTurnEnd(self)
    }

    /// The turn is over: requests begin, what there is to say leaves.
    func turnEnded() {
        awaitsTurnEnd = false
        guard client.phase == .open else { return }
        if !arrived.isEmpty {
            let fresh = arrived
            arrived.removeAll(keepingCapacity: true)
            for stream in fresh where stream.http2 === self { stream.start() }
        }
        guard client.phase == .open else { return }
        flush()
    }

    /// Sends what the session has, as far as the kernel takes it.
    private func flush() {
        guard !client.stream.isBlocked else { return watch() }
        var nothing = ByteBuffer()
        var outcome = WriteOutcome.sent
        while outcome == .sent && session.wantsToSend {
            let before = client.stream.bytesWritten
            guard emit(nil, &nothing) else { return client.lost() }
            outcome = client.pushGathered()
            if client.stream.bytesWritten == before { break }
        }
        if outcome == .failed { return client.lost() }
        while let event = session.takeEvent() { noteSent(event) }
        countRefusals()
        settle()
        let submitters = self.submitters
        self.submitters.removeAll(keepingCapacity: true)
        for stream in submitters where stream.http2 === self { stream.settle() }
        if session.isFinished || openStreams == 0 && isGoingAway { return client.closePolitely(nil) }
        // Not without saying which stream was the last.
        if openStreams == 0 && client.closesAfterAnswer { return goAway() }
        watch()
    }

    /// Limits that the session enforces by itself.
    private func countRefusals() {
        while counted.streams != session.refusedStreams {
            counted.streams += 1
            worker.refuse(.http2Streams, client.peer.address)
        }
        while counted.trailers != session.largeTrailers {
            counted.trailers += 1
            worker.refuse(.framingTrailers, client.peer.address)
        }
    }

    private func noteSent(_ event: HTTP2Event) {
        let none = ByteBuffer()
        none.withReadable { note(event, $0) }
    }

    /// Sends up to `count` bytes from the front of `buffer`, behind what the stream has pending, and consumes what went.
    func send(_ stream: HTTP2Stream, _ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        var left = count
        while left > 0 && !client.stream.isBlocked {
            session.setAvailable(stream.slot, stream.pending.count + left, ends: false)
            let before = (held: buffer.count, written: client.stream.bytesWritten)
            guard emit(stream, &buffer), client.pushGathered() != .failed else { return .failed }
            left -= before.held - buffer.count
            // More urgent streams may take a whole round for themselves.
            if client.stream.bytesWritten == before.written { break }
        }
        session.setAvailable(stream.slot, stream.pending.count, ends: false)
        comeBack()
        if left == 0 { return client.stream.isBlocked ? .blocked : .sent }
        if !client.stream.isBlocked { stream.windowIsShut() }
        return .blocked
    }

    /// Moves what may leave now from session and streams to the connection, in the session's order: the most urgent
    /// stream first (RFC 9218). `lender`'s DATA comes from `buffer`.
    private func emit(_ lender: HTTP2Stream?, _ buffer: inout ByteBuffer) -> Bool {
        session.collect(limit: max(0, worker.limits.http2.queued - client.stream.pendingBytes))
        while let piece = session.takePiece() {
            switch piece {
            case .frames(let range):
                guard session.withOutput({ client.gather($0.extracting(range)) }) else { return false }
            case .data(let slot, let header, let count, let ends):
                guard let stream = stream(slot) else { return false }
                if ends { submitters.append(stream) }
                let own = min(count, stream.pending.count)
                if own == 0 && stream === lender {
                    stream.noteProgress()
                    guard client.enqueueFrame(header, &buffer, count) else { return false }
                    continue
                }
                guard client.gather(header.bytes.span),
                    stream.pending.withReadable({ client.gather($0.extracting(first: own)) })
                else { return false }
                stream.sent(own)
                if own < count {
                    guard stream === lender, count - own <= buffer.count,
                        buffer.withReadable({ client.gather($0.extracting(first: count - own)) })
                    else { return false }
                    buffer.consume(count - own)
                }
            }
        }
        return true
    }

    /// The client took all that waited.
    func drained() {
        comeBack()
        resumeStreams()
    }

    /// Lets streams go on that waited for the client: the more urgent first, those of one urgency in turn.
    private func resumeStreams() {
        var urgencies: UInt8 = 0
        for case let stream? in streams { urgencies |= 1 << (session.urgency(stream.slot).urgency & 7) }
        let count = streams.count
        let first = nextSlot
        for urgency in UInt8(0)..<8 where urgencies & 1 << urgency != 0 {
            for offset in 0..<count {
                let slot = (first + offset) % count
                guard let stream = stream(slot), session.urgency(slot).urgency & 7 == urgency else { continue }
                if client.phase != .open || client.stream.isBlocked { return }
                nextSlot = slot + 1
                resume(stream)
            }
        }
    }

    private func resume(_ stream: HTTP2Stream) {
        stream.windowOpened()
        if !stream.isFinished { stream.exchange.clientDrained() }
    }

    // MARK: Deadlines and ends

    /// What the connection's own deadline stands for now.
    func watch() {
        if client.watch == .farewell || client.watch == .drain { return }
        if client.stream.isBlocked { return client.watchStall() }
        if session.isInsideHead {
            let since = headSinceMs ?? worker.nowMs
            headSinceMs = since
            let spent = Int(worker.nowMs &- since)
            return client.watch(.head, afterMs: max(1, worker.limits.headers.timeoutMs - spent))
        }
        headSinceMs = nil
        // The client's preface belongs to the handshake, whose deadline still runs.
        if !session.hasStarted { return }
        if openStreams > 0 {
            client.watch(.none)
        } else if client.watch != .keepAlive {
            client.idleSinceMs = worker.nowMs
            client.watch(.keepAlive, afterMs: worker.limits.keepAliveMs)
        }
    }

    /// A head that never ends, or a preface that never comes.
    func headTookTooLong() { leave(.headersTimeout) }

    /// Says which stream was the last, and closes once that is sent.
    func leave(_ reason: RefusalReason?) {
        session.goAway(reason == .headersTimeout ? .enhanceYourCalm : .noError)
        part(reason)
    }

    private func part(_ reason: RefusalReason?) {
        endExchanges(sparing: false)
        var nothing = ByteBuffer()
        if client.stream.isBlocked || !emit(nil, &nothing) { return client.close(reason) }
        client.closePolitely(reason)
    }

    /// The client makes work for its own sake: no more streams, and the tunnels it has get 5 s (`limits.http2.abuse`).
    private func shutOut() {
        worker.refuse(.http2Abuse, client.peer.address)
        guard !isShutOut else { return client.close(nil) }
        isShutOut = true
        isGoingAway = true
        endExchanges(sparing: true)
        client.watch(.farewell, afterMs: 5000)
        comeBack()
        if openStreams > 0 { worker.loop.runAgain(client) }
    }

    private func endExchanges(sparing tunnels: Bool) {
        for case let stream? in streams where !(tunnels && stream.exchange.phase == .tunnel) { stream.lost() }
    }

    /// The connection is gone: so is all that ran on it.
    func lost() {
        let open = streams
        streams = []
        openStreams = 0
        for case let stream? in open { stream.connectionLost() }
        for (stream, code) in ended { stream.closed(code) }
        ended = []
        touched = []
        arrived = []
        submitters = []
    }

    func endIfStale() {
        for case let stream? in streams where !stream.isFinished { stream.endIfStale() }
    }

    /// The gateway goes down: streams that are on their way to us still count, which a second notice a second later ends
    /// (RFC 9113 section 6.8).
    func drain(afterMs: UInt64) {
        for case let stream? in streams where stream.exchange.phase == .tunnel && stream.watch != .tunnelClose {
            stream.watch(.drain, afterMs: Int(afterMs))
        }
        session.shutdownNotice()
        comeBack()
        if openStreams == 0 { return goAway() }
        client.watch(.drain, afterMs: 1000)
    }

    /// No stream that begins from now on is served.
    func goAway() {
        isGoingAway = true
        client.watch(.none)
        session.goAway(.noError)
        comeBack()
    }

    /// Memory is no longer short.
    func memoryEased() {
        for case let stream? in streams where stream.exchange.awaitsBody { worker.loop.runAgain(stream) }
    }
}
