import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// A player's way to a backend as far as it has gone.
struct PlayerTunnel {
    var link: BackendLink?
    /// The version by which the route was taken.
    var snapshot: MinecraftSnapshot?
    /// Places in the route that were tried.
    var tried: Set<Int> = []
    /// Whether the player counts against the route's cap.
    var holdsPlace = false
    var activeMs: UInt64 = 0
    var clientEnded = false
    var backendEnded = false
    /// When the gateway ends it for its own drain.
    var drainAtMs = UInt64.max
    var endReason: StaticString = "closed"
    /// Held while bulk is under way in that direction.
    var pipeToBackend: Pipe?
    var pipeToClient: Pipe?
}

/// The backend's side of a player's connection. Owned by it, on the same thread.
final class BackendLink: EventSource {
    let backend: Backend
    var stream: Stream
    var isConnected = false
    private var player: PlayerConnection?

    init(_ stream: consuming Stream, _ backend: Backend, _ player: PlayerConnection) {
        self.stream = stream
        self.backend = backend
        self.player = player
    }

    override func ready(_ events: Readiness) {
        stream.note(events)
        player?.backendReady(self, events)
    }

    override func resumed() { player?.resumed() }

    func close(_ worker: MinecraftWorker) {
        worker.loop.deregister(self, stream.descriptor)
        // Both directions at once; the descriptor itself lives until the turn is over.
        Socket.shutdownWriting(stream.descriptor)
        backend.leave()
        player = nil
        worker.retire(self)
    }
}

extension PlayerConnection {
    // MARK: Placing

    /// Login Start has come: may this player in, and where?
    func placeLogin() {
        let messages = worker.settings.messages
        if let seconds = isOverLimit {
            return refuseLogin(messages.limited.waiting(seconds), .limited, .minecraftConnects)
        }
        if let waitMs = worker.shared.sources.takeLogin(peer.address, nowMs: Int64(worker.nowMs)) {
            worker.metrics.refused(.minecraft, .minecraftLogin)
            return refuseLogin(messages.limited.waiting(waitSeconds(waitMs)), .limited, .minecraftLogin)
        }
        if worker.inForce.route(for: host) == nil { worker.penalise(peer.address, .unknownHost) }
        guard enterRoute() else { return }
        phase = .dialing
        dial()
    }

    /// Takes a place in the route as it is now. False when the player was refused.
    private func enterRoute() -> Bool {
        let messages = worker.settings.messages
        let snapshot = worker.inForce
        let found = snapshot.route(for: host)
        if found?.shared !== route?.shared { leaveRoute() }
        route = found
        tunnel.snapshot = snapshot
        tunnel.tried = []
        guard let found else {
            refuseLogin(messages.unknownHost, .unknownHost, .notFound)
            return false
        }
        if worker.isDraining || found.absence == .draining {
            leaveRoute()
            refuseLogin(messages.draining, .draining, .drain)
            return false
        }
        guard tunnel.holdsPlace || found.shared.enter(atMost: found.route.maximumPlayers) else {
            refuseLogin(messages.full, .full, .limited)
            return false
        }
        tunnel.holdsPlace = true
        return true
    }

    private func refuseOffline() {
        worker.metrics.refused(.minecraft, .unreachable)
        refuseLogin(route?.route.offlineKick ?? worker.settings.messages.offline, .offline, .unreachable)
    }

    // MARK: Dialing

    enum DialResult { case failed, timeout }

    private func dial() {
        // A reload while another backend was tried may have changed the route.
        if tunnel.snapshot !== worker.inForce, !enterRoute() { return }
        while let route, let (index, backend) = choose(in: route) {
            tunnel.tried.insert(index)
            let endpoint = backend.endpoint
            do {
                let link = BackendLink(
                    Stream(
                        try Socket.connect(high: endpoint.address.high, low: endpoint.address.low, port: endpoint.port)),
                    backend, self)
                try worker.loop.register(link, link.stream.descriptor)
                tunnel.link = link
                watch(worker.nowMs + Self.connectMs)
                return
            } catch {
                backend.leave()
            }
        }
        leaveRoute()
        refuseOffline()
    }

    /// The next backend to try. None of those that are out, unless all are.
    private func choose(in route: RouteState) -> (Int, Backend)? {
        if route.absence == .offline {
            return tunnel.tried.isEmpty ? route.chooseLastResort(nowMs: worker.nowMs) : nil
        }
        return route.choose(
            for: peer.address, tried: tunnel.tried, slowStartMs: worker.settings.health.slowStartMs,
            nowMs: worker.nowMs)
    }

    /// A backend did not answer the connect: the next one.
    func dialEnded(_ result: DialResult) {
        if result == .timeout { worker.metrics.refused(.minecraft, .upstreamConnect) }
        tunnel.link?.close(worker)
        tunnel.link = nil
        dial()
    }

    func backendReady(_ link: BackendLink, _ events: Readiness) {
        guard link === tunnel.link else { return }
        switch phase {
        case .dialing:
            guard !events.isDisjoint(with: [.writable, .error, .hangup]) else { return }
            guard link.stream.isConnected else { return dialEnded(.failed) }
            guard isStillWanted(link.backend) else { return dialEnded(.failed) }
            openTunnel(link)
        case .tunnel: pumpTunnel()
        default: break
        }
    }

    /// Whether the backend is still one of the route's. If it left while the connect was on its way, its address may be
    /// another route's by now.
    private func isStillWanted(_ backend: Backend) -> Bool {
        let snapshot = worker.inForce
        if tunnel.snapshot === snapshot { return true }
        guard let found = snapshot.route(for: host), found.has(backend) else { return false }
        route = found
        tunnel.snapshot = snapshot
        return true
    }

    /// The backend gets what the client sent so far, to the byte, and from here on both get whatever comes.
    private func openTunnel(_ link: BackendLink) {
        guard let route else { return close() }
        link.isConnected = true
        var preface = ByteBuffer(capacity: 128 + inbound.count)
        let here = stream.localEndpoint
        route.route.proxyProtocol.appendHeader(source: peer, destination: here, to: &preface)
        inbound.withReadable { preface.append($0) }
        inbound = ByteBuffer()
        phase = .tunnel
        tunnel.tried = []
        tunnel.snapshot = nil
        logTunnelOpen()
        if preface.withReadable({ link.stream.send($0, worker.blocks) }) == .failed {
            tunnel.endReason = "backend_broken"
            return closePolitely(endingTunnel: true)
        }
        noteActivity()
        watchTunnel()
        pumpTunnel()
    }

    // MARK: Bytes

    /// Moves what can be moved, both ways.
    func pumpTunnel() {
        guard let link = tunnel.link else { return }
        if stream.isBlocked || stream.isWriteShutdown, stream.flush(worker.blocks) == .failed {
            return lost("client_broken")
        }
        if link.stream.isBlocked || link.stream.isWriteShutdown, link.stream.flush(worker.blocks) == .failed {
            return backendLost()
        }
        pumpToBackend(link)
        if phase == .tunnel { pumpToClient(link) }
        guard phase == .tunnel else { return }
        countBytes()
        finishIfOver(link)
    }

    /// What a direction may move before others have their turn.
    private static var bytesPerTurn: Int { 512 << 10 }

    /// A read that brought so much makes the next bytes go through a pipe: for less, copying is cheaper.
    private static var bulkBytes: Int { 32 << 10 }

    private func pumpToBackend(_ link: BackendLink) {
        var budget = Self.bytesPerTurn
        while !tunnel.clientEnded {
            if link.stream.isBlocked { return stream.readLess() }
            if let pipe = tunnel.pipeToBackend {
                switch splice(&stream, pipe, &link.stream, &budget) {
                case .waiting: return noteActivity()
                case .turnOver:
                    noteActivity()
                    return worker.loop.runAgain(self)
                case .idle: giveBack(&tunnel.pipeToBackend)
                case .sourceBroke: return lost("client_broken")
                case .targetBroke: return backendLost()
                }
            }
            switch stream.read(into: &worker.scratch, limit: worker.settings.limits.buffer, worker.blocks) {
            case .bytes(let count):
                let outcome = worker.scratch.withReadable { link.stream.send($0, worker.blocks) }
                worker.scratch.removeAll()
                noteActivity()
                if outcome == .failed { return backendLost() }
                if count >= Self.bulkBytes, tunnel.pipeToBackend == nil { tunnel.pipeToBackend = worker.pipes.take() }
                budget -= count
                if budget <= 0 { return worker.loop.runAgain(self) }
            case .blocked: return
            case .ended:
                tunnel.clientEnded = true
                if link.stream.shutdownWriting(worker.blocks) == .failed { backendLost() }
                return
            case .failed: return lost("client_broken")
            }
        }
    }

    private func pumpToClient(_ link: BackendLink) {
        var budget = Self.bytesPerTurn
        while !tunnel.backendEnded {
            if stream.isBlocked { return link.stream.readLess() }
            if let pipe = tunnel.pipeToClient {
                switch splice(&link.stream, pipe, &stream, &budget) {
                case .waiting: return noteActivity()
                case .turnOver:
                    noteActivity()
                    return worker.loop.runAgain(self)
                case .idle: giveBack(&tunnel.pipeToClient)
                case .sourceBroke: return backendLost()
                case .targetBroke: return lost("client_broken")
                }
            }
            switch link.stream.read(into: &worker.scratch, limit: worker.settings.limits.buffer, worker.blocks) {
            case .bytes(let count):
                let outcome = worker.scratch.withReadable { stream.send($0, worker.blocks) }
                worker.scratch.removeAll()
                noteActivity()
                if outcome == .failed { return lost("client_broken") }
                if count >= Self.bulkBytes, tunnel.pipeToClient == nil { tunnel.pipeToClient = worker.pipes.take() }
                budget -= count
                if budget <= 0 { return worker.loop.runAgain(self) }
            case .blocked: return
            case .ended:
                tunnel.backendEnded = true
                if stream.shutdownWriting(worker.blocks) == .failed { lost("client_broken") }
                return
            case .failed: return backendLost()
            }
        }
    }

    private enum SpliceResult { case waiting, turnOver, idle, sourceBroke, targetBroke }

    /// Moves bytes through a pipe until one side has no more or takes no more. At `.idle` the pipe is empty, and a read
    /// tells whether the source has ended.
    private func splice(
        _ source: inout Stream, _ pipe: Pipe, _ target: inout Stream, _ budget: inout Int
    ) -> SpliceResult {
        while true {
            switch target.send(pipe) {
            case .sent: break
            case .blocked: return .waiting
            case .failed: return .targetBroke
            }
            if budget <= 0 { return .turnOver }
            // What the target's kernel does not take waits in the pipe.
            switch source.fill(pipe, atMost: max(worker.settings.limits.buffer, target.sendRoom)) {
            case .bytes(let count): budget -= count
            case .blocked, .ended: return .idle
            case .failed: return .sourceBroke
            }
        }
    }

    private func giveBack(_ pipe: inout Pipe?) {
        if let pipe { worker.pipes.give(pipe) }
        pipe = nil
    }

    private func noteActivity() { tunnel.activeMs = worker.nowMs }

    // MARK: Ends

    /// Both directions have ended and everything went out.
    private func finishIfOver(_ link: BackendLink) {
        guard tunnel.clientEnded, tunnel.backendEnded, stream.didShutdownWriting, link.stream.didShutdownWriting else {
            return
        }
        close()
    }

    private func lost(_ why: StaticString) {
        tunnel.endReason = why
        close()
    }

    /// The client gets what is on its way, and then an end that is not a reset.
    private func backendLost() {
        tunnel.endReason = "backend_broken"
        closePolitely(endingTunnel: true)
    }

    private func closePolitely(endingTunnel: Bool) {
        endTunnel()
        closePolitely()
    }

    /// Lets go of the backend; the tunnel's line is written here.
    func endTunnel() {
        guard let link = tunnel.link else { return leaveRoute() }
        if link.isConnected { logTunnelClose(tunnel.endReason) }
        tunnel.link = nil
        giveBack(&tunnel.pipeToBackend)
        giveBack(&tunnel.pipeToClient)
        link.close(worker)
        leaveRoute()
    }

    private func leaveRoute() {
        if tunnel.holdsPlace { route?.shared.leave() }
        tunnel.holdsPlace = false
    }

    /// Sets when to look at the tunnel again: idle, or drained.
    private func watchTunnel() {
        let idleMs = worker.settings.limits.tunnelIdle.minecraftMs
        let idleAt = idleMs > 0 ? tunnel.activeMs + UInt64(idleMs) : .max
        watch(min(idleAt, tunnel.drainAtMs))
    }

    /// A deadline has come: idle too long, or time to go.
    func checkTunnel() {
        let idleMs = worker.settings.limits.tunnelIdle.minecraftMs
        if tunnel.drainAtMs <= worker.nowMs {
            tunnel.endReason = "drain"
            return closePolitely(endingTunnel: true)
        }
        if idleMs > 0, elapsed(tunnel.activeMs, worker.nowMs) >= UInt64(idleMs) {
            worker.metrics.refused(.minecraft, .tunnelIdleMinecraft)
            tunnel.endReason = "tunnel_idle.minecraft"
            return closePolitely(endingTunnel: true)
        }
        watchTunnel()
    }
}
