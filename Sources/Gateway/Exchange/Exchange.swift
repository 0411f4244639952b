import Compression
import Identity
import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// One request and its answer, from the head's arrival to the access log; after an upgrade, the tunnel.
///
/// A connection has one, used again for each request. It is told what happened on either side (`...ed`) and decides
/// what comes next; `phase` says which events may come. Owned by its client connection, used on its thread.
final class Exchange {
    enum Phase {
        /// No request under way.
        case idle
        /// The body of a launch form or a logout is read.
        case form
        /// A place at the container is awaited.
        case queued
        /// A connection to the container is on its way.
        case connecting
        /// The request is on its way or gone; nothing final has come back.
        case requesting
        /// The answer's body is passed on.
        case answering
        /// Upgraded: bytes pass untouched.
        case tunnel
        /// We answered before the request's body was read; the rest of it is dropped.
        case discarding
    }

    let worker: Worker
    /// The worker's, without the step over it, which would count references.
    let loop: EventLoop
    let blocks: BlockPool
    /// Cut when the connection is closed for good, as the two hold each other.
    private(set) var client: Downstream!
    var upstream: UpstreamConnection?
    var phase = Phase.idle

    // The request.
    var method = Method.other
    var minorVersion: UInt8 = 1
    var facts: RequestFacts?
    /// `nil` when nothing is to be compressed.
    var codingFacts: CodingFacts?
    var body = RequestBody()
    /// The container stopped taking the body; the rest of it is read and dropped.
    var abandonsBody = false
    var keepsAlive = true
    var isUpgrade = false
    var wantsTrailers = false
    var expectsContinue = false
    /// What the container is sent, kept until its answer begins, as a retry sends it again.
    var outgoing = ByteBuffer()
    /// The entity tags of its conditions that compression had changed, as the container knows them.
    var restoredTags = ByteBuffer()
    /// The cookies that came with a launch form.
    var launchCookies: LaunchCookies = (nil, nil)
    /// A launch form as far as it has come.
    var form = ByteBuffer()
    /// The value that `Sec-WebSocket-Accept` must have.
    var expectedAccept = ByteBuffer()

    // Who and where.
    var vmid: UInt32 = 0
    var session: Session?
    var route: IDERoute?
    var pool: UpstreamPool?
    var place = Place.none
    var retried = false
    /// Whether the request is a launch, whose answers must not leak their address.
    var isLaunch = false
    /// Whether a launch form is posted into a frame.
    var isFramed = false

    // The answer.
    var answer = Answer()
    /// Compresses the answer; one of the worker's, given back by `dropGzip`.
    var gzip: GzipStream?
    /// What came out of it and is not with the client.
    var compressed = ByteBuffer()
    /// What the container still has to say once the tunnel is being closed.
    var tunnel = TunnelState()
    var record = AccessRecord()

    /// What this exchange holds of its container's places.
    enum Place {
        case none, waiting, exchange, tunnel
    }

    /// The answer as far as it has gone to the client.
    struct Answer {
        var status: UInt16 = 0
        var framing = AnswerFraming.none
        var interim = 0
        /// The final head has gone out, or is staged.
        var began = false
        /// The chunked coding has its end.
        var sentLastChunk = false
        /// Its head says gzip.
        var isCompressed = false
        /// Bytes went into the gzip stream since its last flush.
        var awaitsFlush = false
        var flushedMs: UInt64 = 0
        /// How the container ended it, once only the client has yet to take what is compressed.
        var ending = Ending.none
    }

    enum Ending {
        case none, whole, broken
    }

    init(_ client: Downstream) {
        self.client = client
        worker = client.worker
        loop = worker.loop
        blocks = worker.blocks
    }

    /// Lets go of the connection. Called once, after it was closed.
    func detach() { client = nil }

    /// Whether the rest of its body is still to come.
    var awaitsBody: Bool { !body.isComplete }

    /// Bytes held for this exchange.
    var heldBytes: Int {
        outgoing.count + form.count + compressed.count + (gzip?.heldBytes ?? 0)
            + (upstream?.heldBytes ?? 0)
    }

    /// Whether the next thing to happen is the container's doing.
    var isWaitingForUpstream: Bool {
        switch phase {
        case .queued, .connecting: true
        case .requesting, .answering: body.isComplete
        case .idle, .form, .discarding, .tunnel: false
        }
    }

    /// Makes ready for the next request on the connection.
    func reset() {
        phase = .idle
        method = .other
        minorVersion = 1
        facts = nil
        codingFacts = nil
        body = RequestBody()
        abandonsBody = false
        isUpgrade = false
        wantsTrailers = false
        expectsContinue = false
        outgoing.removeAll()
        outgoing.recycle(into: blocks)
        if !form.isEmpty { form = ByteBuffer() }
        if restoredTags.capacity > 0 { restoredTags = ByteBuffer() }
        if expectedAccept.capacity > 0 { expectedAccept = ByteBuffer() }
        session = nil
        route = nil
        retried = false
        isLaunch = false
        isFramed = false
        answer = Answer()
        dropGzip()
        if compressed.capacity > 0 {
            compressed.removeAll()
            compressed.recycle(into: blocks)
        }
    }

    // MARK: Ends

    /// The answer is out whole: log it, and let the client go on with the next request, or close.
    func completed() {
        let unread = !body.isComplete
        releaseUpstream(reusable: !unread)
        finishRecord()
        client.answered(unread: unread)
    }

    /// The connection to the client is gone or of no use: end what runs on its behalf.
    func clientLost() {
        guard phase != .idle else { return }
        if phase == .tunnel {
            endTunnelRecord(.clientClosed)
        } else if phase != .discarding {
            record.reason = record.reason ?? "client_closed"
            finishRecord()
        }
        releaseUpstream(reusable: false)
        reset()
    }

    /// The client closed its sending side where more was due.
    func clientEnded() {
        switch phase {
        case .tunnel: clientClosedTunnelSide()
        default:
            clientLost()
            client.close(nil)
        }
    }

    /// The client sent FIN while the container has the word. It may still read: the answer goes on as long as it moves.
    func clientStoppedSending() {
        guard isWaitingForUpstream else { return }
        client.closesAfterAnswer = true
        // Another watch means that something else ends it soon enough.
        guard client.watch == .none else { return }
        client.bodyWindow = (worker.nowMs, record.bytesOut)
        client.watch(.halfClosed, afterMs: 10_000)
    }

    /// Nothing has moved towards a client that stopped sending: it is taken to be gone.
    func halfClosedTooLong() {
        guard record.bytesOut == client.bodyWindow.bytes else {
            client.bodyWindow.bytes = record.bytesOut
            return client.watch(.halfClosed, afterMs: 10_000)
        }
        clientLost()
        client.close(nil)
    }

    // MARK: Staleness

    /// Ends the exchange if its session or route is no more: a tunnel by a close frame, an answer by cutting it.
    func endIfStale() {
        guard let session, phase != .idle, phase != .discarding else { return }
        if !worker.snapshot.revocations.isEmpty,
            worker.snapshot.revocations.covers(
                sessionID: session.id, user: session.user, vmid: session.vmid, issuedAt: session.issuedAt)
        {
            session.end(.revoked)
        }
        if let ended = worker.shared.sessions.reasonEnded(session) {
            endNow(.session(ended))
        } else if let route, worker.snapshot.routes.route(for: route.vmid) != route {
            endNow(.routeChanged)
        }
    }

    private func endNow(_ why: TunnelEnd) {
        switch phase {
        case .tunnel: closeTunnel(why)
        case .answering:
            switch why {
            // What is on its way was allowed when it began; a long download is no idleness.
            case .routeChanged, .session(.idle): return
            default: break
            }
            record.reason = TunnelOutcome.ended(why).label
            clientLost()
            client.abort(nil)
        case .requesting, .connecting, .queued:
            switch why {
            case .session(.idle): return
            case .session(let end): fail(.unauthorized(LoginReason(end)))
            case .routeChanged, .drain, .idle: return
            }
        default: break
        }
    }
}

/// A request's body on its way to the container.
struct RequestBody: Sendable {
    var framing = BodyFraming.none
    /// Of `.length`: bytes that have not come.
    var remaining: UInt64 = 0
    var decoder = ChunkedDecoder()
    /// The last chunk has come, its trailers have not.
    var inTrailers = false
    var isComplete = true

    init() {}

    init(_ framing: BodyFraming, _ limits: (chunkExtension: Int, extensions: Int)) {
        self.framing = framing
        switch framing {
        case .length(let count):
            remaining = count
            isComplete = count == 0
        case .chunked:
            decoder = ChunkedDecoder(extensionBytes: limits.chunkExtension, extensionsBytes: limits.extensions)
            isComplete = false
        case .none, .untilClose: break
        }
    }
}
