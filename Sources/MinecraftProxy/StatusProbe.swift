import Reactor
import Routing
import Transport
import Wire

/// One status ping of a backend: connect, ask, read the answer, close. For health checks, which may be content with the
/// connect, and for the status cache.
final class StatusProbe: EventSource {
    /// Who wants to know.
    enum Purpose {
        case health(RouteState)
        case fetch(RouteState, Int32, host: String, attempt: Int)
    }

    let purpose: Purpose
    let backend: Backend
    private let proxyProtocol: MinecraftRoute.ProxyProtocol
    private let worker: MinecraftWorker
    private var stream: Stream?
    private var inbound = ByteBuffer()
    private var request = ByteBuffer()
    private(set) var isConnected = false
    /// We ran short of descriptors, which says nothing of the backend.
    private(set) var hadNoDescriptor = false
    private var isOver = false

    init(
        _ purpose: Purpose, _ backend: Backend, _ proxyProtocol: MinecraftRoute.ProxyProtocol, worker: MinecraftWorker
    ) {
        self.purpose = purpose
        self.backend = backend
        self.proxyProtocol = proxyProtocol
        self.worker = worker
        super.init()
    }

    func start(version: Int32, host: String, timeoutMs: Int) {
        worker.add(self)
        let endpoint = backend.endpoint
        MinecraftReply.appendStatusRequest(
            protocolVersion: version, host: host, port: endpoint.port, to: &request)
        do {
            let made = Stream(
                try Socket.connect(high: endpoint.address.high, low: endpoint.address.low, port: endpoint.port))
            try worker.loop.register(self, made.descriptor)
            stream = consume made
            worker.loop.setDeadline(worker.nowMs + UInt64(max(1, timeoutMs)), for: self)
        } catch {
            hadNoDescriptor = error.isOutOfDescriptors
            finish(nil)
        }
    }

    override func ready(_ events: Readiness) {
        guard !isOver, stream != nil else { return }
        stream?.note(events)
        if !isConnected {
            guard events.contains(.writable) || events.contains(.error) || events.contains(.hangup) else { return }
            guard connected() else { return finish(nil) }
            if isOver { return }
        }
        if stream?.flush(worker.blocks) == .failed { return finish(nil) }
        read()
    }

    override func expired() { finish(nil) }

    private func connected() -> Bool {
        guard let made = stream?.isConnected, made, worker.inForce.has(backend) else { return false }
        isConnected = true
        if case .health(let route) = purpose, route.route.health == .connect {
            finish(nil)
            return true
        }
        var preface = ByteBuffer(capacity: 512)
        if let local = stream?.localEndpoint {
            // With our own addresses: some proxies cannot read a header that names none.
            proxyProtocol.appendHeader(source: local, destination: backend.endpoint, to: &preface)
        }
        request.withReadable { preface.append($0) }
        request = ByteBuffer()
        return preface.withReadable { stream?.send($0, worker.blocks) } != .failed
    }

    private func read() {
        while true {
            guard let outcome = stream?.read(into: &inbound, worker.blocks) else { return }
            switch outcome {
            case .bytes:
                switch inbound.withReadable({ MinecraftStatusResponse.parse($0) }) {
                case .partial:
                    if inbound.count > MinecraftStatusResponse.limit + 3 { return finish(nil) }
                case .malformed: return finish(nil)
                case .complete(let range):
                    return finish(inbound.withReadable { $0.extracting(range).copied() })
                }
            case .blocked: return
            case .ended, .failed: return finish(nil)
            }
        }
    }

    private func finish(_ json: [UInt8]?) {
        guard !isOver else { return }
        isOver = true
        if let made = stream.take() {
            worker.loop.deregister(self, made.descriptor)
            _ = consume made
        }
        inbound.removeAll()
        inbound.recycle(into: worker.blocks)
        worker.retire(self)
        worker.probeEnded(self, json: json)
    }
}

extension Stream {
    /// Whether a connect that has ended succeeded.
    var isConnected: Bool { Socket.pendingError(of: descriptor) == nil }

    /// Our side's address and port.
    var localEndpoint: Endpoint {
        let (high, low, port) = Socket.localAddress(of: descriptor)
        return Endpoint(address: IPAddress(high: high, low: low), port: port)
    }
}

extension MinecraftRoute.ProxyProtocol {
    /// Appends the header that the route's backends expect, if any.
    func appendHeader(source: Endpoint, destination: Endpoint, to out: inout ByteBuffer) {
        switch self {
        case .none: break
        case .v1: ProxyHeader.appendV1(source: source, destination: destination, to: &out)
        case .v2: ProxyHeader.appendV2(source: source, destination: destination, to: &out)
        }
    }
}
