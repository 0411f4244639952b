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
    /// The source that its place among the streams was counted for, while it has one.
    var streamTicket: SourceTable.Ticket?
    /// The version of the snapshot by which session and route were looked at last.
    var judgedBy: UInt64 = 0
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
        case none, waiting, exchange
        /// A tunnel, or an answer that lasts (`limits.upstream.streams_per_vmid`).
        case stream
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

    /// Bytes that were passed on, either way.
    var bytesTaken: UInt64 { record.bytesIn &+ record.bytesOut &+ tunnel.bytesIn &+ tunnel.bytesOut }

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
        releaseUpstream(reusable: true)
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

    /// Whether the request may go to its container. Asked before each dial and before its head is written, because it
    /// may have waited for either while sessions and routes changed. If it may not, the client has been answered. Uses the
    /// version in force, also while the message that brings it to this loop is on its way.
    func mayGoOn() -> Bool {
        let isJudged = judgedBy == worker.version && !worker.shared.isSuperseded(judgedBy)
        // It came and was judged in this very turn.
        if isJudged && record.startUs == loop.nowUs { return true }
        let snapshot = isJudged ? nil : worker.shared.inForce(worker.snapshot)
        if let why = whyStale(by: snapshot) {
            fail(failure(for: why, by: snapshot ?? worker.snapshot))
            return false
        }
        if let token = session?.tokenID, worker.shared.spent.isSpent(token) {
            fail(.unauthorized(.none))
            return false
        }
        return true
    }

    /// Ends the exchange if its session or route is no more: a tunnel by a close frame, an answer by cutting it.
    func endIfStale() {
        guard session != nil, phase != .idle, phase != .discarding else { return }
        let snapshot = worker.snapshot
        guard let why = whyStale(by: judgedBy == snapshot.version ? nil : snapshot) else { return }
        switch phase {
        case .tunnel: closeTunnel(why)
        case .queued, .connecting: fail(failure(for: why, by: snapshot))
        case .requesting: if !goesOn(despite: why) { fail(failure(for: why, by: snapshot)) }
        case .answering:
            guard !goesOn(despite: why) else { return }
            record.reason = TunnelOutcome.ended(why).label
            clientLost()
            client.abort(nil)
        case .idle, .form, .discarding: break
        }
    }

    /// Called twice a second, for what changes by time alone.
    func timePassed() {
        guard let session, phase != .idle else { return }
        leaveExchangePlaceIfLong()
        // The registry does not sweep sessions of header tokens.
        if session.check(now: worker.now, idle: .max) != nil { endIfStale() }
    }

    /// Why session or route no longer allow the exchange. `snapshot` is one by which it was not judged yet; without, only
    /// the session is looked at.
    private func whyStale(by snapshot: GatewaySnapshot?) -> TunnelEnd? {
        if let session {
            if let snapshot, snapshot.revocations.covers(session.sealed) { session.end(.revoked) }
            let end = worker.shared.sessions.reasonEnded(session) ?? session.check(now: worker.now, idle: .max)
            if let end { return .session(end) }
        }
        guard let snapshot else { return nil }
        if let route, snapshot.routes.route(for: route.vmid) != route { return .routeChanged }
        judgedBy = snapshot.version
        return nil
    }

    /// What is under way was allowed when it began: a long transfer is no idleness, and a container that moved may
    /// complete it, as long as no other is at its address. A WebSocket that waits for its 101 sends nothing before, and is
    /// closed then.
    private func goesOn(despite why: TunnelEnd) -> Bool {
        switch why {
        case .session(.idle): true
        case .routeChanged: !isAnotherVMIDsNow && (isUpgrade || !isMadeAgain)
        default: false
        }
    }

    /// Whether what is sent to the route's address may reach another container than the one that was meant.
    var isAnotherContainersNow: Bool { isAnotherVMIDsNow || isMadeAgain }

    private var isAnotherVMIDsNow: Bool {
        guard let route else { return false }
        return worker.snapshot.routes.isTaken(route.endpoint.address, byOtherThan: route.vmid)
    }

    /// Whether the vmid was re-created at the same address.
    private var isMadeAgain: Bool {
        guard let route, let current = worker.snapshot.routes.route(for: route.vmid) else { return false }
        return current.generation != route.generation && current.endpoint.address == route.endpoint.address
    }

    private func failure(for why: TunnelEnd, by snapshot: GatewaySnapshot) -> GatewayFailure {
        if case .session(let end) = why { return .unauthorized(LoginReason(end)) }
        guard let session else { return .moved }
        do throws(GatewayFailure) {
            _ = try selectUpstream(
                for: session, vmid: vmid, in: snapshot.routes, isNavigation: facts?.isNavigation ?? false)
            return .moved
        } catch {
            return error
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

    /// Whether there is none at all. One in chunks that is empty has an end, which must be sent.
    var isAbsent: Bool {
        switch framing {
        case .none: true
        case .length(let count): count == 0
        case .chunked, .untilClose: false
        }
    }
}
