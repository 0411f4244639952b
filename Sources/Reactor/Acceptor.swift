/// One listening socket of one loop. It accepts what its subclass has room for, pauses when places or descriptors run
/// short, and looks again a moment later, so that it never spins.
open class Acceptor: EventSource {
    private static let acceptsPerTurn = 64
    private static let pauseMs: UInt64 = 100

    private let socket: FileDescriptor
    private let loop: EventLoop
    /// The TCP port it listens on.
    public final let port: UInt16

    /// Accepts on `socket`, which it takes over, until `close`.
    public init(_ socket: consuming FileDescriptor, on loop: EventLoop) throws(SystemError) {
        port = Socket.localPort(of: socket)
        self.socket = socket
        self.loop = loop
        super.init()
        try loop.register(self, self.socket)
    }

    /// Accepts no more. The socket is closed when the acceptor is let go.
    public final func close() {
        loop.deregister(self, socket)
        Socket.shutdownWriting(socket)
    }

    /// Whether there is a place for one more connection.
    public enum Room: Sendable {
        case free
        /// Nobody waits: the next arrival is an event.
        case notNeeded
        case none
    }

    /// Whether somebody waits to be accepted.
    public final var hasArrivals: Bool { Socket.hasArrivals(on: socket) }

    /// Asked before each connection.
    open func room() -> Room { .free }

    /// Takes a connection over.
    open func admit(_ accepted: consuming AcceptedSocket) {}

    /// Descriptors or memory ran out: what waits in the backlog keeps waiting.
    open func fellShort() {}

    /// There may be a place again: looks at once instead of after the pause.
    public final func roomFreed() { loop.runAgain(self) }

    public final override func ready(_ events: Readiness) { accept() }
    public final override func resumed() { accept() }
    public final override func expired() { accept() }

    private func accept() {
        for _ in 0..<Self.acceptsPerTurn {
            switch room() {
            case .free: break
            case .notNeeded: return
            case .none: return pause()
            }
            do {
                guard let accepted = try Socket.accept(on: socket) else { return }
                admit(accepted)
            } catch {
                fellShort()
                return pause()
            }
        }
        loop.runAgain(self)
    }

    private func pause() { loop.setDeadline(loop.nowMs + Self.pauseMs, for: self) }
}
