import Reactor
import Synchronization
public import Wire

/// The small Minecraft server of `zlh-edge demo`: it answers the server list with an icon and a login with a text, so
/// that a person can add the printed address in the game and see both come through the gateway.
public final class DemoMinecraftServer: Sendable {
    /// The address it listens on, with the port that the kernel chose if 0 was asked for.
    public let endpoint: Endpoint
    private let socket: Mutex<FileDescriptor?>

    /// Listens on `endpoint`; `start` begins to serve.
    public init(listening endpoint: Endpoint) throws {
        let socket = try Socket.listen(
            high: endpoint.address.high, low: endpoint.address.low, port: endpoint.port, backlog: 64)
        self.endpoint = Endpoint(address: endpoint.address, port: Socket.localPort(of: socket))
        self.socket = Mutex(consume socket)
    }

    /// Serves on a thread of its own until the process ends. Call it once.
    public func start() throws {
        try Thread.start("demo-game") { [self] in
            guard let socket = socket.withLock({ $0.take() }), let loop = try? EventLoop() else { return }
            let listener = DemoGameListener(socket, loop)
            do {
                try listener.start()
                try loop.run()
            } catch {
                return
            }
        }
    }
}

/// Accepts players of the demo's server.
private final class DemoGameListener: EventSource {
    private let socket: FileDescriptor
    private let loop: EventLoop

    init(_ socket: consuming FileDescriptor, _ loop: EventLoop) {
        self.socket = socket
        self.loop = loop
    }

    func start() throws(SystemError) { try loop.register(self, socket) }

    override func ready(_ events: Readiness) { accept() }
    override func expired() { accept() }

    private func accept() {
        do {
            while let accepted = try Socket.accept(on: socket) {
                DemoGameConnection(accepted.takeDescriptor(), loop).start()
            }
        } catch {
            loop.setDeadline(loop.nowMs + 100, for: self)
        }
    }
}

/// One player of the demo's server, from handshake to farewell.
final class DemoGameConnection: EventSource {
    private static let motd =
        #"{"text":"zlh-edge demo","color":"gold","extra":[{"text":": you came through the gateway","color":"gray"}]}"#
    private static let farewell =
        #"{"text":"You reached the demo server through zlh-edge.\nThere is no world behind it.","color":"gold"}"#

    private let socket: FileDescriptor
    private let loop: EventLoop
    private var inbound = ByteBuffer(capacity: 2048)
    private var handshake: MinecraftHandshake?
    private var isClosing = false

    init(_ socket: consuming FileDescriptor, _ loop: EventLoop) {
        self.socket = socket
        self.loop = loop
    }

    func start() {
        Socket.tune(socket)
        do {
            try loop.register(self, socket)
            loop.setDeadline(loop.nowMs + 30_000, for: self)
        } catch {
            close()
        }
    }

    override func expired() { close() }

    override func ready(_ events: Readiness) {
        while true {
            if isClosing { inbound.removeAll() }
            guard inbound.room > 0 else { return close() }
            switch inbound.withWritable({ Socket.receive(from: socket, into: &$0) }) {
            case .moved(0), .failed: return close()
            case .wouldBlock: return
            case .moved: while !isClosing, understand() {}
            }
        }
    }

    private func close() {
        loop.deregister(self, socket)
        Socket.shutdownWriting(socket)
    }

    /// Answers the next packet; false when more is needed.
    private func understand() -> Bool {
        guard let handshake else { return readHandshake() }
        if handshake.intent == .status { return readStatus(handshake) }
        guard case .complete = inbound.withReadable({ MinecraftLoginStart.parse($0, from: 0) }) else { return false }
        var packet = ByteBuffer(capacity: 256)
        MinecraftReply.appendLoginDisconnect(json: Self.farewell, to: &packet)
        say(packet, isLast: true)
        return true
    }

    private func readHandshake() -> Bool {
        switch inbound.withReadable({ MinecraftOpening.parse($0) }) {
        case .handshake(let found):
            handshake = found
            inbound.consume(found.byteCount)
            return true
        case .partial: return false
        default:
            isClosing = true
            Socket.shutdownWriting(socket)
            return false
        }
    }

    private func readStatus(_ handshake: MinecraftHandshake) -> Bool {
        var packet = ByteBuffer(capacity: 2048)
        switch inbound.withReadable({ MinecraftStatusRequest.parse($0, from: 0) }) {
        case .status(let end):
            inbound.consume(end)
            let json =
                #"{"version":{"name":"demo","protocol":\#(handshake.protocolVersion)},"#
                + #""players":{"max":20,"online":0},"description":\#(Self.motd),"favicon":"\#(Self.icon)"}"#
            MinecraftReply.appendStatus(json: json.utf8Span.span, to: &packet)
            say(packet, isLast: false)
        case .ping(let payload):
            inbound.withReadable { MinecraftReply.appendPong($0, payload, to: &packet) }
            say(packet, isLast: true)
        case .partial: return false
        case .malformed: isClosing = true
        }
        return true
    }

    /// A packet is far smaller than a socket's buffer: it goes out whole, or the peer is gone.
    private func say(_ packet: borrowing ByteBuffer, isLast: Bool) {
        _ = packet.withReadable { Socket.send($0, to: socket) }
        guard isLast else { return }
        isClosing = true
        Socket.shutdownWriting(socket)
    }
}
