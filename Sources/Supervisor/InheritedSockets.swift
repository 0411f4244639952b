import Glibc
import Reactor
import Wire

/// The listening sockets that systemd opened for this process and hands over (`.socket` units, sd_listen_fds(3)): each
/// serves the endpoint of `listen` that has its address. On the main thread.
final class InheritedSockets {
    /// The first descriptor that is handed over (sd_listen_fds(3)).
    private static let first: Int32 = 3
    private static let most: Int32 = 1024

    private var sockets: [(socket: ListeningSocket, isUsed: Bool)] = []
    /// What was handed over and is of no use.
    private(set) var warnings: [String] = []

    /// Takes what `environment` announces for this process, and the announcement out of the process's environment.
    init(_ environment: [String: String]) {
        for name in ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] { _ = unsafe unsetenv(name) }
        guard let process = environment["LISTEN_PID"], Int32(process) == getpid(), let text = environment["LISTEN_FDS"]
        else { return }
        guard let count = Int32(text), (0...Self.most).contains(count) else {
            warnings.append("LISTEN_FDS is \"\(text)\", not a number of sockets: no socket is taken over")
            return
        }
        let names = (environment["LISTEN_FDNAMES"] ?? "").split(separator: ":", omittingEmptySubsequences: false)
        for index in 0..<count {
            let descriptor = Self.first + index
            if let socket = ListeningSocket(adopting: descriptor) {
                sockets.append((socket, false))
            } else {
                let name = Int(index) < names.count ? " (\(names[Int(index)]))" : ""
                warnings.append(
                    "descriptor \(descriptor)\(name) was handed over but is no listening TCP socket: not used")
            }
        }
    }

    /// The socket for an endpoint, if one was handed over; also one for `[::]` that takes IPv4 along, for `0.0.0.0`.
    func take(_ endpoint: Endpoint) -> ListeningSocket? {
        let address = endpoint.address
        let found = sockets.firstIndex { socket, _ in
            guard socket.port == endpoint.port else { return false }
            let bound = IPAddress(high: socket.high, low: socket.low)
            return bound == address
                || socket.takesIPv4 && bound.isUnspecified && address.isUnspecified && address.isIPv4
        }
        guard let found else { return nil }
        // Two endpoints may share a socket that takes both kinds of addresses.
        defer { sockets[found].isUsed = true }
        return sockets[found].socket
    }

    /// Lets go of them all: whoever took one has a descriptor of its own, and from one that nobody took nobody would ever
    /// accept. Says which those are.
    func close() -> [String] {
        defer { sockets = [] }
        for (socket, _) in sockets { socket.close() }
        return sockets.filter { !$0.isUsed }.map { socket, _ in
            let endpoint = Endpoint(address: IPAddress(high: socket.high, low: socket.low), port: socket.port)
            return "a socket for \(endpoint) was handed over, which no \"listen\" names: closed"
        }
    }
}
