import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// One connection to a container: connecting, serving one exchange, idle in its pool, or half of a tunnel. Owned by the
/// exchange or the pool that has it, used on its worker's thread.
final class UpstreamConnection: EventSource {
    enum Phase {
        case connecting, serving, idle, closed
    }

    let worker: Worker
    /// The worker's, without the step over it, which would count references.
    let loop: EventLoop
    let blocks: BlockPool
    let route: IDERoute
    var stream: Stream
    private(set) var phase = Phase.connecting
    /// Whether it has served an exchange before: its peer may have closed it just now.
    private(set) var isReused = false
    private(set) var exchange: Exchange?
    /// For how long the container keeps it after an answer, as it announced, less a second for what is on its way.
    private var keptMs = UInt64.max
    /// While idle: when it is used no more.
    private(set) var usableUntilMs: UInt64 = 0
    /// Received and not yet passed on.
    var inbound = ByteBuffer()
    var scan = HeadScan()
    var reply = Reply()

    /// The answer being read.
    struct Reply {
        var framing = BodyFraming.none
        var remaining: UInt64 = 0
        var decoder = ChunkedDecoder()
        /// Payload of the chunk under way that is in `inbound` and was not passed on.
        var chunkLeft = 0
        var inTrailers = false
        /// They came in part, and the rest has `limits.upstream.response`.
        var awaitsTrailers = false
        var receivedAny = false
        /// The connection may serve again after this answer.
        var keepAlive = false
        /// An interim answer said that it may not.
        var saidClose = false
        /// When its final head came.
        var beganMs: UInt64 = 0
        var sawHead = false
    }

    /// Starts connecting to the route's endpoint on behalf of `exchange`.
    init(_ route: IDERoute, for exchange: Exchange, worker: Worker) throws(SystemError) {
        self.route = route
        self.worker = worker
        loop = worker.loop
        blocks = worker.blocks
        self.exchange = exchange
        let address = route.endpoint.address
        stream = Stream(try Socket.connect(high: address.high, low: address.low, port: route.endpoint.port))
        super.init()
        try loop.register(self, stream.descriptor)
        loop.setDeadline(worker.nowMs + UInt64(worker.limits.upstream.connectMs), for: self)
    }

    /// Whether this connection is for that very container.
    func serves(_ other: IDERoute) -> Bool {
        phase != .closed && route == other
    }

    var heldBytes: Int { stream.pendingBytes + inbound.count }

    /// Serves `exchange` now.
    func attach(_ exchange: Exchange) {
        self.exchange = exchange
        phase = .serving
        reply = Reply()
        scan = HeadScan()
        loop.setDeadline(.max, for: self)
    }

    /// Goes idle in `pool`, or closes when its container will not keep it for long enough.
    func rest(in pool: UpstreamPool) {
        let nowMs = worker.nowMs
        let (keptUntilMs, isEndless) = reply.beganMs.addingReportingOverflow(keptMs)
        usableUntilMs = min(nowMs + UInt64(worker.limits.upstream.idleMs), isEndless ? .max : keptUntilMs)
        guard usableUntilMs > nowMs else { return close() }
        exchange = nil
        phase = .idle
        isReused = true
        inbound.recycle(into: blocks)
        loop.setDeadline(usableUntilMs, for: self)
        pool.keep(self)
    }

    /// Takes note of `Keep-Alive: timeout=N`. The container counts from its answer's end, which is never before the head.
    func noteKeepAlive(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) {
        for index in 0..<fields.count where fields[index].name == .keepAlive {
            guard let seconds = KeepAliveHeader.timeout(in: bytes.extracting(fields[index].valueRange)) else {
                continue
            }
            keptMs = seconds > 1 ? UInt64(seconds - 1) * 1000 : 0
        }
    }

    // MARK: Events

    override func ready(_ events: Readiness) {
        stream.note(events)
        switch phase {
        case .connecting: connected(events)
        case .serving:
            if stream.isBlocked && events.contains(.writable) {
                switch stream.flush(blocks) {
                case .sent: exchange?.upstreamDrained()
                case .blocked: exchange?.upstreamProgressed()
                case .failed: exchange?.upstreamStoppedReading()
                }
            }
            if phase == .serving { exchange?.upstreamReadable() }
            if phase == .serving, !events.isDisjoint(with: [.error, .hangup]) { exchange?.upstreamHungUp() }
        case .idle:
            // Bytes that nobody asked for, or the end: either way it is of no more use. Writability says nothing.
            // What came in the turn of the last answer's end may have been read with it, on another's event.
            let isOver = !events.isDisjoint(with: [.peerClosed, .error, .hangup])
            if isOver || events.contains(.readable) && !stream.isQuiet { discardIdle() }
        case .closed: break
        }
    }

    private func connected(_ events: Readiness) {
        guard !events.isDisjoint(with: [.writable, .error, .hangup]) else { return }
        if let error = Socket.pendingError(of: stream.descriptor) {
            let exchange = self.exchange
            close()
            exchange?.connectFailed(error)
            return
        }
        guard let exchange else { return close() }
        attach(exchange)
        exchange.connected()
    }

    override func resumed() {
        if phase == .serving { exchange?.upstreamReadable() }
    }

    override func expired() {
        switch phase {
        case .connecting:
            let exchange = self.exchange
            close()
            if let exchange { worker.refuse(.upstreamConnect, exchange.client.address) }
            exchange?.fail(.upstreamTimeout)
        case .serving: exchange?.answerTimedOut()
        case .idle: discardIdle()
        case .closed: break
        }
    }

    private func discardIdle() {
        worker.pool(ofVMID: route.vmid)?.forget(self)
        close()
        worker.dropPool(route.vmid)
    }

    /// Reads what has come into `inbound`, on its way to `client`.
    func read(for client: Downstream) -> ReadOutcome {
        let limit = worker.readLimit(next: stream.nextRead, room: client.sendRoom)
        // Room for the header of an HTTP/2 frame, so that the first one too is sent from where it lies. Bulk lies half a
        // page further: OpenSSL copies it to a buffer that tends to have the same place in its page as the block has, and
        // between such addresses a copy takes three times as long (4 KiB aliasing).
        let headroom = stream.nextRead > Stream.smallRead ? 2064 : 16
        let outcome = stream.read(into: &inbound, limit: limit, headroom: headroom, blocks)
        if case .bytes = outcome { reply.receivedAny = true }
        return outcome
    }

    /// Closes at once. Tells nobody; safe to call again.
    func close() {
        if phase == .closed { return }
        phase = .closed
        exchange = nil
        loop.deregister(self, stream.descriptor)
        worker.retire(self)
    }
}
