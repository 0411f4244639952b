import Limits
import Observe
import Reactor
import TLS
import Transport
import Wire

/// A listening socket on one loop, for HTTPS or for plain HTTP.
final class Listener: Acceptor {
    private let worker: Worker
    private let secure: Bool

    init(
        _ socket: consuming FileDescriptor, secure: Bool, isShared: Bool, worker: Worker
    ) throws(SystemError) {
        self.secure = secure
        self.worker = worker
        try super.init(socket, isShared: isShared, on: worker.loop)
    }

    override func room() -> Room {
        guard worker.shared.shortage != nil else { return .free }
        guard hasArrivals else { return .notNeeded }
        worker.shared.want(loop: worker.index)
        guard let shortage = worker.shared.shortage else { return .free }
        worker.metrics.refused(.https, shortage == .memory ? .memory : .connections)
        return .none
    }

    override func fellShort() {
        worker.metrics.refused(.https, .connections)
        worker.shared.want(loop: worker.index)
    }

    override func admit(_ accepted: consuming AcceptedSocket) {
        let peer = IPAddress(high: accepted.high, low: accepted.low)
        let peerPort = accepted.port
        let isProxy = worker.settings.trustedProxies.contains { $0.contains(peer) }
        var ticket = SourceTable.Ticket.none
        // Behind a proxy the source is known once its header was read.
        if !isProxy {
            switch worker.shared.sources.connect(peer, .https, nowMs: Int64(worker.nowMs)) {
            case .admitted(let admitted): ticket = admitted
            case .refused(let refusal):
                worker.refuse(RefusalReason(refusal), peer)
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
