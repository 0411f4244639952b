import Limits
import Observe
import Reactor
import Synchronization
import TLS
import Transport
import Wire

/// One listening socket of one loop. It accepts what the limits allow, pauses when descriptors or places run short, and
/// looks again a moment later, so that it never spins.
final class Listener: EventSource {
    private static let acceptsPerTurn = 64
    private static let pauseMs: UInt64 = 100

    private let socket: FileDescriptor
    private let worker: Worker
    private let secure: Bool
    let port: UInt16

    init(_ socket: consuming FileDescriptor, secure: Bool, worker: Worker) throws(SystemError) {
        port = Socket.localPort(of: socket)
        self.socket = socket
        self.secure = secure
        self.worker = worker
        super.init()
        try worker.loop.register(self, self.socket)
    }

    func close() {
        worker.loop.deregister(self, socket)
        Socket.shutdownWriting(socket)
    }

    override func ready(_ events: Readiness) { accept() }
    override func resumed() { accept() }
    override func expired() { accept() }

    private func accept() {
        for _ in 0..<Self.acceptsPerTurn {
            switch room() {
            case .free: break
            // The next arrival is an event.
            case .notNeeded: return
            case .none:
                worker.loop.setDeadline(worker.nowMs + Self.pauseMs, for: self)
                return
            }
            do {
                guard let accepted = try Socket.accept(on: socket) else { return }
                admit(accepted)
            } catch {
                // Out of descriptors or memory: what waits in the backlog keeps waiting.
                worker.metrics.refused(.https, .connections)
                worker.loop.setDeadline(worker.nowMs + Self.pauseMs, for: self)
                return
            }
        }
        worker.loop.runAgain(self)
    }

    private enum Room {
        case free, none, notNeeded
    }

    /// Whether there is a place for one more. When there is none, and only if somebody wants it, idle connections make
    /// room.
    private func room() -> Room {
        let shared = worker.shared
        let isShort = shared.memoryPressure >= .noAccept
        if !isShort,
            shared.connections.load(ordering: .relaxed) < shared.connectionLimit.load(ordering: .relaxed)
        {
            return .free
        }
        guard Socket.hasArrivals(on: socket) else { return .notNeeded }
        if worker.closeOldestIdle() > 0 && !isShort { return .free }
        worker.metrics.refused(.https, isShort ? .memory : .connections)
        return .none
    }

    private func admit(_ accepted: consuming AcceptedSocket) {
        let peer = IPAddress(high: accepted.high, low: accepted.low)
        let peerPort = accepted.port
        let isProxy = worker.settings.trustedProxies.contains { $0.contains(peer) }
        var ticket = SourceTable.Ticket.none
        // Behind a proxy the source is known once its header was read.
        if !isProxy {
            switch worker.shared.sources.connect(peer, .https, nowMs: Int64(worker.nowMs)) {
            case .admitted(let admitted): ticket = admitted
            case .refused(let refusal):
                worker.refuse(RefusalReason(refusal, .https), peer)
                return
            }
        }
        let descriptor = accepted.takeDescriptor()
        Socket.tune(descriptor)
        let stream: Stream
        if secure {
            guard let tls = TLSSession(store: worker.certificates, descriptor: descriptor.raw) else {
                worker.shared.sources.disconnect(ticket)
                worker.refuse(.memory, peer)
                return
            }
            stream = Stream(descriptor, tls: tls)
        } else {
            stream = Stream(descriptor)
        }
        let client = ClientConnection(
            stream, peer: Endpoint(address: peer, port: peerPort), ticket: ticket, awaitsProxyHeader: isProxy,
            port: port, worker: worker)
        client.start()
    }
}
