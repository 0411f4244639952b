import Reactor
import Synchronization

/// What answers the requests of a `LocalServer`.
public protocol LocalHandler: Sendable {
    /// Answers one request, on its connection's thread; it may block. A thrown error becomes a 500, or ends the
    /// connection when an answer had begun.
    func respond(to request: LocalRequest, on connection: LocalConnection) throws
}

/// A small, strict HTTP/1.1 and WebSocket server for our own pages: admin, metrics, health and the demo.
///
/// One thread accepts, and each connection has a thread of its own that may block, up to `LocalLimits.connections`.
/// That keeps handlers plain and keeps them off the event loops of the data path.
public final class LocalServer: Sendable {
    /// The TCP port it listens on; 0 for a socket file.
    public var port: UInt16 { listener.port }
    private let listener: LocalListener
    private let handler: any LocalHandler
    private let limits: LocalLimits
    private let checksPeer: Bool
    private let sessions = Mutex(Sessions())

    private struct Sessions {
        var stopped = false
        var next = 0
        var open: [Int: LocalSocket] = [:]
    }

    /// Binds and listens; `start` begins to serve.
    public init(listening address: LocalAddress, limits: LocalLimits = LocalLimits(), handler: any LocalHandler) throws
    {
        listener = try LocalListener(address)
        self.handler = handler
        self.limits = limits
        checksPeer = if case .unix = address { true } else { false }
    }

    /// Begins to accept. Call it once; from then on the server lives until `stop`.
    public func start() throws(LocalError) {
        do {
            try Thread.start("local-accept") { self.acceptAll() }
        } catch {
            throw .system(error)
        }
    }

    /// Stops accepting, ends every connection and removes the socket file; waits a second at most for handlers.
    public func stop() {
        let open = sessions.withLock { sessions in
            sessions.stopped = true
            return Array(sessions.open.values)
        }
        listener.shutdown()
        for socket in open { socket.shutdownBoth() }
        let deadline = Clock.monotonicMs() + 1000
        while Clock.monotonicMs() < deadline, !sessions.withLock(\.open.isEmpty) { Clock.pause(ms: 5) }
    }

    private func acceptAll() {
        while let descriptor = listener.accept() {
            Socket.tune(descriptor)
            let socket = LocalSocket(descriptor)
            if checksPeer, !LocalPeer.isTrusted(socket.peerUser()) { continue }
            switch admit(socket) {
            case .stopped: return
            case .full: refuse(socket)
            case .admitted(let number):
                do {
                    try Thread.start {
                        LocalConnection(socket, limits: self.limits).serve(self.handler)
                        self.forget(number)
                    }
                } catch {
                    forget(number)
                    refuse(socket)
                }
            }
        }
    }

    /// On the accepting thread, so without waiting for anything.
    private func refuse(_ socket: LocalSocket) {
        LocalConnection(socket, limits: limits).refuse(status: 503, reason: "too many connections", lingers: false)
    }

    private func forget(_ number: Int) {
        sessions.withLock { _ = $0.open.removeValue(forKey: number) }
    }

    private enum Admission { case admitted(Int), full, stopped }

    private func admit(_ socket: LocalSocket) -> Admission {
        sessions.withLock { sessions in
            if sessions.stopped { return .stopped }
            if sessions.open.count >= limits.connections { return .full }
            sessions.next += 1
            sessions.open[sessions.next] = socket
            return .admitted(sessions.next)
        }
    }
}
