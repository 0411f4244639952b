/// One listening socket of one loop. It accepts what its subclass has room for, pauses when places or descriptors run
/// short, and looks again a moment later, so that it never spins.
open class Acceptor: EventSource {
    private static let acceptsPerTurn = 64
    /// Of a shared socket: the other loops shall have some too.
    private static let acceptsPerTurnShared = 4
    private static let pauseMs: UInt64 = 100

    private let socket: FileDescriptor
    private let loop: EventLoop
    private let isShared: Bool
    /// The loop could not be joined again: no event comes.
    private var isDeaf = false
    /// The TCP port it listens on.
    public final let port: UInt16

    /// Accepts on `socket`, which it takes over, until `close`. Other loops accept on the same socket when it `isShared`.
    public init(_ socket: consuming FileDescriptor, isShared: Bool = false, on loop: EventLoop) throws(SystemError) {
        port = Socket.localPort(of: socket)
        self.socket = socket
        self.isShared = isShared
        self.loop = loop
        super.init()
        try loop.register(self, self.socket, exclusively: isShared)
    }

    /// Accepts no more. The socket is closed when the acceptor is let go.
    public final func close() {
        loop.deregister(self, socket)
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
        guard isRegistered else { return }
        if isDeaf { rejoin() }
        var accepts = isShared ? Self.acceptsPerTurnShared : Self.acceptsPerTurn
        var hasAccepted = false
        defer { if hasAccepted && isShared { rejoin() } }
        while accepts > 0 {
            switch room() {
            case .free: break
            case .notNeeded: return
            case .none: return pause()
            }
            do {
                guard let accepted = try Socket.accept(on: socket) else { return }
                accepts -= 1
                hasAccepted = true
                admit(accepted)
            } catch {
                fellShort()
                return pause()
            }
        }
        loop.runAgain(self)
    }

    private func rejoin() {
        do {
            try loop.rejoin(self, socket)
            isDeaf = false
        } catch {
            isDeaf = true
            pause()
        }
    }

    private func pause() { loop.setDeadline(loop.nowMs + Self.pauseMs, for: self) }
}
