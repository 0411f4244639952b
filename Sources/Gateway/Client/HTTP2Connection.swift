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
    let worker: Worker
    /// By the session's slots.
    var streams: [HTTP2Stream?] = []
    var openStreams = 0
    /// Whether a request has come: `limits.headers.timeout` runs until then.
    private(set) var hadRequest = false
    /// Requests of this turn.
    var arrived: [HTTP2Stream] = []
    /// Streams that something came for.
    var touched: [HTTP2Stream] = []
    /// Streams that the session is done with, and why.
    var ended: [(stream: HTTP2Stream, code: UInt32)] = []
    var windowOpened = false
    /// Streams that have submitted something in this turn.
    var submitters: [HTTP2Stream] = []
    var awaitsTurnEnd = false
    /// Whose turn it is when the client can take more.
    var nextSlot = 0
    var headSinceMs: UInt64?
    var isGoingAway = false
    var isShutOut = false
    /// Idle, with little memory held.
    var isAtRest = false
    static let restMs = 1000
    private static let readsPerTurn = 32
    /// Refusals of the session's that were counted.
    var counted = (streams: 0, trailers: 0)
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

    /// Whether a head has begun and is not complete.
    var isInsideHead: Bool { session.isInsideHead }

    var awaitsBody: Bool { streams.contains { $0?.exchange.awaitsBody ?? false } }

    // MARK: From the client

    /// Takes the frames at hand.
    func advance() {
        var reads = 0
        while client.phase == .open && !isShutOut {
            reads += 1
            if arrived.count >= worker.limits.http2.perTurn || reads > Self.readsPerTurn {
                return client.loop.runAgain(client)
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
    func note(_ event: HTTP2Event, _ bytes: borrowing Span<UInt8>) {
        switch event {
        case .request(let slot, let range, let ends, let isTunnel):
            let stream = open(slot)
            session.withHeads { stream.decide($0.extracting(range), ends: ends, isTunnel: isTunnel) }
        case .refused(let slot, let refusal, let method, let ends):
            let stream = open(slot)
            if ends { stream.inputDidEnd() }
            stream.refuse(GatewayFailure(refusal), method: method)
        case .data(let slot, let range):
            guard let stream = stream(slot), !stream.isFinished else {
                stream(slot)?.drop(bytes.extracting(range))
                return session.consumed(slot, range.count)
            }
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
            stream.losesSlot()
            ended.append((stream, code))
        case .windowOpened(let slot):
            if slot < 0 { windowOpened = true } else if let stream = stream(slot) { touched.append(stream) }
        case .goAway: client.closesAfterAnswer = true
        }
    }

    func stream(_ slot: Int) -> HTTP2Stream? { slot < streams.count ? streams[slot] : nil }

    private func open(_ slot: Int) -> HTTP2Stream {
        while streams.count <= slot { streams.append(nil) }
        let stream = worker.takeStream()
        stream.begin(self, slot: slot)
        streams[slot] = stream
        openStreams += 1
        hadRequest = true
        arrived.append(stream)
        return stream
    }

    /// Acts on what was noted.
    func settle() {
        for (stream, code) in ended {
            // What came with the client's end still goes to the container; `closed` sees to what came with a reset.
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

    /// A container, or nobody, took so many bytes of a stream's body: the windows open again, unless the session is done
    /// with the stream and so opened them already.
    func taken(_ slot: Int?, _ count: Int) {
        heldInput -= count
        guard let slot else { return }
        session.consumed(slot, count)
        comeBack()
    }

    /// The container of one stream may hold up its body for as long as it likes, but not longer than the connection's
    /// window lasts: then the others' clients are not to blame for sending nothing.
    var isInputHeldUp: Bool { heldInput * 2 >= worker.limits.http2.window }
}
