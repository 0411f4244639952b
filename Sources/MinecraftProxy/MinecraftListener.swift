import Limits
import Observe
import Reactor
import Transport
import Wire

/// A listening socket on one loop, for players.
final class MinecraftListener: Acceptor {
    private let worker: MinecraftWorker

    init(_ socket: consuming FileDescriptor, isShared: Bool, worker: MinecraftWorker) throws(SystemError) {
        self.worker = worker
        try super.init(socket, isShared: isShared, on: worker.loop)
    }

    override func room() -> Room {
        let places = worker.shared.places
        guard places.shortage != nil else { return .free }
        guard hasArrivals else { return .notNeeded }
        places.want(loop: worker.index)
        guard let shortage = places.shortage else { return .free }
        worker.metrics.refused(.minecraft, shortage == .memory ? .memory : .connections)
        return .none
    }

    override func fellShort() {
        worker.metrics.refused(.minecraft, .connections)
        worker.shared.places.want(loop: worker.index)
    }

    override func admit(_ accepted: consuming AcceptedSocket) {
        let peer = Endpoint(address: IPAddress(high: accepted.high, low: accepted.low), port: accepted.port)
        // Behind a proxy the source is known once its header was read.
        if worker.settings.trustedProxies.contains(where: { $0.contains(peer.address) }) {
            return serve(accepted.takeDescriptor(), peer, nil)
        }
        switch worker.admit(peer.address) {
        case .shutOut: return
        case let admission: serve(accepted.takeDescriptor(), peer, admission)
        }
    }

    private func serve(_ descriptor: consuming FileDescriptor, _ peer: Endpoint, _ admission: PlayerAdmission?) {
        Socket.tune(descriptor)
        PlayerConnection(Stream(descriptor), peer: peer, admission: admission, worker: worker).start()
    }
}

/// What the limits say of a new player's connection.
enum PlayerAdmission {
    case admitted(SourceTable.Ticket)
    /// It is told to wait so many seconds; it holds one of the places for refusals.
    case limited(RefusalReason, seconds: Int, SourceTable.Ticket)
    /// It is closed without a word, and was counted.
    case shutOut
}

extension MinecraftWorker {
    /// A place for a refusal in the game's own words; nil when there is none for this source.
    func takeRefusal(_ source: IPAddress) -> SourceTable.Ticket? {
        guard shared.takeRefusal() else { return nil }
        let most = MinecraftShared.refusalsOfOneSource
        if let ticket = shared.sources.takeRefusal(source, atMost: most, nowMs: Int64(nowMs)) { return ticket }
        shared.giveBackRefusal()
        return nil
    }

    /// The refusal was told.
    func endRefusal(_ ticket: SourceTable.Ticket) {
        shared.sources.endRefusal(ticket)
        shared.giveBackRefusal()
    }

    /// Decides about a new connection of a source.
    func admit(_ source: IPAddress) -> PlayerAdmission {
        switch shared.sources.connect(source, .minecraft, nowMs: Int64(nowMs)) {
        case .admitted(let ticket): return .admitted(ticket)
        case .refused(let refusal):
            let reason: RefusalReason
            switch refusal {
            case .blocked: reason = .penalty
            case .tooManyConnections: reason = .minecraftConnections
            case .tooManyPlaces: reason = .connections
            case .untracked: reason = .sourceTracked
            case .connectRate: reason = .minecraftConnects
            }
            metrics.refused(.minecraft, reason)
            if reason == .penalty {
                metrics.minecraft(.none, .blocked)
                return .shutOut
            }
            guard let place = takeRefusal(source) else {
                metrics.minecraft(.none, .limited)
                return .shutOut
            }
            return .limited(reason, seconds: waitSeconds(refusal.retryAfterMs ?? 10_000), place)
        }
    }
}

/// Whole seconds a player is told to wait, at least one.
func waitSeconds(_ ms: Int64) -> Int { max(1, Int((ms + 999) / 1000)) }
