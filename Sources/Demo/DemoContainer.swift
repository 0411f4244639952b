import LocalServer
public import Wire

/// The small container that `zlh-edge demo` puts behind the gateway: a page, an echo WebSocket, a shell on a
/// pseudo-terminal, and a few answers that show what the gateway does.
///
/// It listens on loopback, where the gateway dials it. The shell is served only to a peer of our own user and to
/// pages of its own origin, so that neither another user of the host nor a web page can reach it past the gateway.
public final class DemoContainer: Sendable {
    /// The address it listens on, with the port that the kernel chose if 0 was asked for.
    public let endpoint: Endpoint
    private let server: LocalServer

    /// Binds to `endpoint`; `start` begins to serve.
    public init(listening endpoint: Endpoint) throws {
        var limits = LocalLimits()
        limits.connections = 1024
        server = try LocalServer(listening: .tcp(endpoint), limits: limits, handler: DemoHandler())
        self.endpoint = Endpoint(address: endpoint.address, port: server.port)
    }

    /// Begins to serve, on threads of its own.
    public func start() throws { try server.start() }

    /// Ends every connection and with it every shell.
    public func stop() { server.stop() }
}
