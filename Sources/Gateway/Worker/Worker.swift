import Compression
import Identity
import Limits
import Observe
public import Reactor
import Routing
public import TLS
import Wire

/// One thread's share of the gateway: its loop, listeners, connections, upstream pools and its copy of the snapshot.
///
/// An ordinary class, made on its thread and used on it alone. Other threads hold its mailbox.
public final class Worker {
    /// The loop, for what else lives on it.
    public let loop: EventLoop
    /// What lives on the loop beside the gateway: it hears of each turn's end, and a drain waits for it.
    public var guest: (any LoopGuest)?
    let index: Int
    let shared: GatewayShared
    let metrics: LoopMetrics
    let blocks = BlockPool()
    let gzips = GzipPool(limit: GzipBounds.atWork, keeps: GzipBounds.atRest)
    /// The field table of whatever head is being looked at; what it holds ends with the event.
    private(set) var fields: HeadFields
    private(set) var snapshot: GatewaySnapshot
    /// The snapshot's: what was decided by it is not looked at again while it stays.
    private(set) var version: UInt64
    /// The snapshot's: read where they lie, without holding the snapshot.
    private(set) var settings: GatewaySettings
    private(set) var certificates: CertificateStore
    /// Lines of this turn, handed to the log at its end.
    var log = ByteBuffer()
    var ids = RequestIDSource()
    var repeats = RepeatSuppressor(reasons: RefusalReason.allCases.count)

    private var clients = SourceList<ClientConnection>()
    private var pools: [UInt32: UpstreamPool] = [:]
    private var listeners: [Listener] = []
    /// Connections closed in this turn, kept until its end as callers may still hold them.
    private var retired: [EventSource] = []
    private(set) var isDraining = false
    /// Connections that act at the turn's end.
    private var awaitingTurnEnd: [HTTP2Connection] = []
    /// Streams at rest, with their exchanges.
    private var freeStreams: [HTTP2Stream] = []
    private static let keptStreams = 256

    /// A worker for the calling thread. `index` is its place in the metrics.
    public init(
        index: Int, shared: GatewayShared, snapshot: GatewaySnapshot, certificates: [Certificate],
        tls: TLSSettings, ticketKeys: TicketKeys
    ) throws {
        loop = try EventLoop()
        self.index = index
        self.shared = shared
        self.snapshot = snapshot
        settings = snapshot.settings
        version = snapshot.version
        metrics = shared.metrics[index]
        fields = Self.makeFields(snapshot)
        self.certificates = try CertificateStore(certificates, settings: tls, ticketKeys: ticketKeys)
        let mailbox = try Mailbox<WorkerMessage>()
        // The loop holds the worker so: both live until the process ends.
        try mailbox.deliver(on: loop) { self.receive($0) }
        shared.add(mailbox, loop: index)
        loop.turnEnded = { [unowned self] in self.endTurn() }
        loop.tick(everyMs: 500) { [unowned self] in
            for client in clients.all { client.timePassed() }
        }
    }

    /// Accepts on a listening socket: HTTPS, or plain HTTP that is redirected. `isShared` when other loops accept on it
    /// too.
    public func serve(_ socket: consuming FileDescriptor, secure: Bool, isShared: Bool) throws(SystemError) {
        listeners.append(try Listener(socket, secure: secure, isShared: isShared, worker: self))
    }

    /// Serves until `stop`, or until a drain is over.
    public func run() throws(SystemError) {
        try loop.run()
    }

    private static func makeFields(_ snapshot: GatewaySnapshot) -> HeadFields {
        let limits = snapshot.settings.limits
        return HeadFields(capacity: min(max(limits.headers.fields, limits.upstream.fields, 100) + 1, 65_535))
    }

    /// The bounds in force. Lent, not copied: the struct is large and holds an array.
    var limits: LimitSettings {
        _read { yield settings.limits }
    }

    var nowMs: UInt64 { loop.nowMs }

    /// This turn's instant, for what lasts longer than a connection.
    var now: Moment { Moment(epoch: loop.epochSeconds, steady: steadySeconds) }

    /// Seconds that never jump.
    var steadySeconds: Int64 { Int64(loop.nowMs / 1000) }

    /// What a read may bring at most.
    var readLimit: Int { max(4096, limits.buffer * 4) }

    /// What one read may bring, where the stream wants `next` and the one who gets the bytes has `room` for so
    /// many. As much as `limits.buffer` may wait for a reader who stops. Bulk is read in up to four times as much, so
    /// that it goes out in few calls, but only what leaves at once.
    func readLimit(next: Int, room: @autoclosure () -> Int) -> Int {
        let buffer = max(4096, limits.buffer)
        return next <= buffer ? buffer : max(buffer, min(readLimit, room()))
    }

    // MARK: Connections

    func add(_ client: ClientConnection) { clients.add(client) }

    func remove(_ client: ClientConnection) {
        guard clients.remove(client) else { return }
        shared.giveBack()
        stopIfDrained()
    }

    /// All connections, in no order.
    var allClients: [ClientConnection] { clients.all }

    /// Tells which connections may go for a newcomer, its guest's too.
    private func nameIdle(_ round: UInt64) {
        let idle = (clients.all.compactMap(\.idleOrder) + (guest?.idleConnections() ?? [])).sorted()
        shared.rooms.answer(
            round: round, loop: index, idle: idle.count, sinceMs: idle.prefix(RoomFinder.mostAtOnce))
    }

    /// Closes the connections that were idle longest.
    func closeIdle(notAfter: UInt64, atMost: Int, _ reason: RefusalReason) {
        let victims = clients.all.lazy
            .compactMap { client in client.idleOrder.map { (order: $0, client: client) } }
            .filter { $0.order <= notAfter }
            .sorted { $0.order < $1.order }
            .prefix(atMost)
        for victim in victims { victim.client.close(reason) }
        let left = atMost - victims.count
        if left > 0 { _ = guest?.closeIdle(notAfter: notAfter, atMost: left, forMemory: reason == .memory) }
    }

    /// Keeps a closed connection until the turn is over.
    func retire(_ source: EventSource) { retired.append(source) }

    /// A stream for one more request.
    func takeStream() -> HTTP2Stream { freeStreams.popLast() ?? HTTP2Stream(worker: self) }

    /// Calls `turnEnded` once, before the loop sleeps.
    func awaitTurnEnd(_ connection: HTTP2Connection) { awaitingTurnEnd.append(connection) }

    func pool(for route: IDERoute) -> UpstreamPool {
        if let known = pools[route.vmid] { return known }
        let pool = UpstreamPool(vmid: route.vmid, counts: shared.containers.counts(for: route.vmid))
        pools[route.vmid] = pool
        return pool
    }

    func pool(ofVMID vmid: UInt32) -> UpstreamPool? { pools[vmid] }

    func dropPool(_ vmid: UInt32) {
        if let pool = pools[vmid], pool.isEmpty { pools[vmid] = nil }
    }

    // MARK: Messages

    func receive(_ message: WorkerMessage) {
        switch message {
        case .adopt(let next): adopt(next)
        case .certificates(let list, let settings, let keys):
            // Checked by the supervisor before; connections keep the store they began with.
            if let store = try? CertificateStore(list, settings: settings, ticketKeys: keys) { certificates = store }
        case .tickets(let keys): certificates.adopt(keys)
        case .sessionsEnded: endStaleExchanges()
        case .placeFreed(let vmid): pools[vmid]?.admitWaiting()
        case .memoryShort(let shed): relieve(shed)
        case .nameIdle(let round): nameIdle(round)
        case .closeIdle(let notAfterMs, let atMost): closeIdle(notAfter: notAfterMs, atMost: atMost, .connections)
        case .roomFreed:
            for listener in listeners { listener.roomFreed() }
            guest?.roomFreed()
        case .memoryEased: for client in clients.all { client.memoryEased() }
        case .drain(let overMs): drain(overMs)
        case .stop: stopNow()
        }
    }

    private func adopt(_ next: GatewaySnapshot) {
        snapshot = next
        version = next.version
        settings = next.settings
        let needed = Self.makeFields(next)
        if needed.capacity > fields.capacity { fields = needed }
        for (vmid, pool) in pools {
            let route = next.routes.route(for: vmid)
            pool.closeIdle { connection in
                route.map { $0.isConflicted || !connection.serves($0) } ?? true
            }
            dropPool(vmid)
        }
        endStaleExchanges()
    }

    /// Ends what the snapshot or an ended session no longer allows.
    private func endStaleExchanges() {
        for client in clients.all { client.endIfStale() }
    }

    private func drain(_ overMs: Int) {
        guard !isDraining else { return }
        isDraining = true
        for listener in listeners { listener.close() }
        listeners = []
        let open = clients.all
        for (index, client) in open.enumerated() {
            // Tunnels are closed spread out, so that their clients do not all come back at once.
            client.drain(afterMs: UInt64(overMs) * UInt64(index) / UInt64(max(1, open.count)))
        }
        stopIfDrained()
    }

    /// Ends the loop when a drain has left nothing on it. The guest calls it too.
    public func stopIfDrained() {
        if isDraining, clients.all.isEmpty, guest?.isFinished ?? true { loop.stop() }
    }

    private func stopNow() {
        for listener in listeners { listener.close() }
        listeners = []
        for client in clients.all { client.close(.drain) }
        guest?.stopNow()
        loop.stop()
    }

    // MARK: The end of a turn

    private func endTurn() {
        while !awaitingTurnEnd.isEmpty {
            let connections = awaitingTurnEnd
            awaitingTurnEnd = []
            for connection in connections { connection.turnEnded() }
        }
        if !retired.isEmpty {
            for source in retired { letGo(source) }
            retired.removeAll(keepingCapacity: true)
        }
        guest?.turnEnded()
        metrics.turned(nowMs: Int64(loop.nowMs), lagMicroseconds: Int64(loop.lastTurnUs))
        while let summary = repeats.nextSummary(nowMs: Int64(loop.nowMs)) { logSuppressed(summary) }
        if !log.isEmpty {
            log.withReadable { shared.log.submit($0) }
            log.removeAll()
        }
    }

    /// Parts what holds each other, so that it is freed, or keeps it for another use.
    private func letGo(_ source: EventSource) {
        if let stream = source as? HTTP2Stream {
            stream.rest()
            if freeStreams.count < Self.keptStreams { freeStreams.append(stream) } else { stream.exchange.detach() }
        } else if let client = source as? ClientConnection {
            client.exchange?.detach()
            client.http2 = nil
        }
    }

    /// Gives back what is kept for the next request.
    func trim() {
        blocks.trim()
        gzips.trim()
        for stream in freeStreams { stream.exchange.detach() }
        freeStreams.removeAll()
    }
}
