import Limits
import Observe
public import Reactor
import Routing
import Synchronization
import Transport
import Wire

/// One loop's share of the Minecraft front: listeners, players, status fetches, and on the first loop the health checks.
///
/// An ordinary class, made on its loop's thread and used on it alone, beside whatever else the loop serves.
public final class MinecraftWorker: LoopGuest {
    let loop: EventLoop
    let index: Int
    let shared: MinecraftShared
    let metrics: LoopMetrics
    let blocks = BlockPool()
    private(set) var snapshot: MinecraftSnapshot
    /// Lines of this turn, handed to the log at its end.
    var log = ByteBuffer()
    /// Where bytes on their way through a tunnel lie for a moment.
    var scratch = ByteBuffer()
    /// What bulk goes through instead.
    var pipes = PipePool()
    var repeats = RepeatSuppressor(reasons: MinecraftResult.allCases.count * 8)

    private var players = SourceList<PlayerConnection>()
    private var waiting: [String: [PlayerConnection]] = [:]
    private var listeners: [MinecraftListener] = []
    private var probes: [ObjectIdentifier: StatusProbe] = [:]
    var health: HealthMonitor?
    /// Sources closed in this turn, kept until its end as callers may still hold them.
    private var retired: [EventSource] = []
    private(set) var isDraining = false
    private let finished: () -> Void

    /// A worker on `loop`, whose thread calls. `index` is the loop's place in the metrics; `finished` is called when a
    /// drain is over.
    public init(
        index: Int, loop: EventLoop, shared: MinecraftShared, snapshot: MinecraftSnapshot,
        finished: @escaping () -> Void
    ) throws(SystemError) {
        self.index = index
        self.loop = loop
        self.shared = shared
        self.snapshot = snapshot
        self.finished = finished
        metrics = shared.metrics[index]
        let mailbox = try Mailbox<MinecraftMessage>()
        // The loop holds the worker so: both live until the process ends.
        try mailbox.deliver(on: loop) { self.receive($0) }
        shared.add(mailbox, loop: index)
        if index == 0 {
            health = HealthMonitor()
            loop.tick(everyMs: HealthMonitor.tickMs) { self.checkHealth() }
        }
    }

    /// Accepts players on a listening socket.
    /// `isShared` when other loops accept on it too.
    public func serve(_ socket: consuming FileDescriptor, isShared: Bool) throws(SystemError) {
        listeners.append(try MinecraftListener(socket, isShared: isShared, worker: self))
    }

    /// Whether it was told to end and no player is left.
    public var isFinished: Bool { isDraining && players.all.isEmpty }

    var nowMs: UInt64 { loop.nowMs }
    var settings: MinecraftSettings { snapshot.settings }
    /// What a backend is dialled by: the version in force, also when the message that brings it is still on its way.
    var inForce: MinecraftSnapshot { shared.latest ?? snapshot }

    // MARK: Players

    func add(_ player: PlayerConnection) {
        players.add(player)
        metrics.connectionOpened(.minecraft)
    }

    func remove(_ player: PlayerConnection) {
        guard players.remove(player) else { return }
        metrics.connectionClosed(.minecraft)
        if isFinished { finished() }
    }

    /// Keeps a closed source until the turn is over.
    func retire(_ source: EventSource) { retired.append(source) }

    // MARK: Status answers

    func wait(_ player: PlayerConnection, for route: String) { waiting[route, default: []].append(player) }

    /// Asks a backend of the route for its status in this protocol.
    func fetchStatus(_ route: RouteState, _ version: Int32, host: String, attempt: Int = 0) {
        // Once a backend has left, answers are collected anew; whoever waits looks again.
        guard let current = inForce.route(like: route), current.status === route.status,
            let backend = current.chooseForStatus()
        else { return statusEnded(route, version, nil) }
        let probe = StatusProbe(
            .fetch(route, version, host: host, attempt: attempt), backend, current.route.proxyProtocol, worker: self)
        probe.start(version: version, host: host, timeoutMs: settings.health.timeoutMs)
    }

    func add(_ probe: StatusProbe) { probes[ObjectIdentifier(probe)] = probe }

    func probeEnded(_ probe: StatusProbe, json: [UInt8]?) {
        probes[ObjectIdentifier(probe)] = nil
        // The address of a backend that left its route may be another's, and so is the answer.
        let json = inForce.has(probe.backend) ? json : nil
        switch probe.purpose {
        case .health(let route):
            let isGood = route.route.health == .connect ? probe.isConnected : json != nil
            healthChecked(probe.backend, route, isGood: probe.hadNoDescriptor ? nil : isGood, json: json)
        case .fetch(let route, let version, let host, let attempt):
            if json == nil, attempt + 1 < min(route.backends.count, 3),
                route.status.withLock({ $0.takeDial(nowMs: nowMs) })
            {
                return fetchStatus(route, version, host: host, attempt: attempt + 1)
            }
            statusEnded(route, version, json)
        }
    }

    private func statusEnded(_ route: RouteState, _ version: Int32, _ json: [UInt8]?) {
        let loops = route.status.withLock { $0.finished(version, json: json, nowMs: nowMs) }
        for other in loops where other != index {
            shared.post(.statusReady(route: route.route.host, ok: json != nil), to: other)
        }
        statusReady(route.route.host, ok: json != nil)
    }

    private func statusReady(_ route: String, ok: Bool) {
        guard let players = waiting.removeValue(forKey: route) else { return }
        for player in players { player.statusReady(ok) }
    }

    // MARK: Messages

    private func receive(_ message: MinecraftMessage) {
        switch message {
        case .adopt(let next): snapshot = next
        case .memoryShort(let shed): relieve(shed)
        case .statusReady(let route, let ok): statusReady(route, ok: ok)
        case .drain(let overMs): drain(overMs)
        }
    }

    private func drain(_ overMs: Int) {
        guard !isDraining else { return }
        isDraining = true
        closeListeners()
        let open = players.all
        for (place, player) in open.enumerated() {
            // Spread out, so that the players do not all come back at once.
            player.drain(afterMs: UInt64(max(0, overMs)) * UInt64(place) / UInt64(max(1, open.count)))
        }
        if isFinished { finished() }
    }

    /// Ends every connection now, as the loop ends.
    public func stopNow() {
        isDraining = true
        closeListeners()
        for player in players.all { player.close() }
        finished()
    }

    // MARK: Room for others

    /// One round of memory relief.
    private func relieve(_ shed: MemoryShed) {
        blocks.trim()
        let all = players.all
        var candidates: [MemoryShed.Candidate] = []
        var bySource: [IPAddress: Int] = [:]
        for player in all {
            let held = player.heldBytes
            let isStalled = player.stallSample.look(moved: player.bytesTaken, held: held, nowMs: nowMs)
            candidates.append(.init(held: held, isStalled: isStalled))
            bySource[player.peer.address, default: 0] += held + MemoryShed.connectionBytes
        }
        for index in candidates.indices { candidates[index].heldBySource = bySource[all[index].peer.address] ?? 0 }
        shared.places.noteStalled(candidates.reduce(0) { $1.isStalled ? max($0, $1.held) : $0 })
        for index in shed.victims(among: candidates, loops: shared.loopCount) { all[index].shed(.memory) }
    }

    /// When players may go for a newcomer who have not said yet what they want.
    public func idleConnections() -> [UInt64] { players.all.compactMap(\.idleOrder) }

    /// Closes such players.
    public func closeIdle(notAfter: UInt64, atMost: Int, forMemory: Bool) -> Int {
        let victims = players.all
            .compactMap { player in player.idleOrder.map { (order: $0, player: player) } }
            .filter { $0.order <= notAfter }
            .sorted { $0.order < $1.order }
            .prefix(atMost)
        for victim in victims { victim.player.shed(forMemory ? .memory : .connections) }
        return victims.count
    }

    /// There is a place again.
    public func roomFreed() { for listener in listeners { listener.roomFreed() } }

    private func closeListeners() {
        for listener in listeners { listener.close() }
        listeners = []
    }

    /// A turn is over.
    public func turnEnded() {
        if !retired.isEmpty { retired.removeAll() }
        scratch.recycle(into: blocks)
        while let summary = repeats.nextSummary(nowMs: Int64(nowMs)) { logSuppressed(summary) }
        if !log.isEmpty {
            log.withReadable { shared.log.submit($0) }
            log.removeAll()
        }
    }
}
