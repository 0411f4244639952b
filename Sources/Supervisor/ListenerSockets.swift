import Config
import Gateway
import Glibc
import MinecraftProxy
import Reactor
import Synchronization
import Wire

/// What speaks at a listening socket.
enum Front: Sendable {
    case https, http, minecraft
}

/// The listening sockets, opened before any loop runs so that a port in use is an error of the start: one a loop and
/// endpoint (`SO_REUSEPORT`), or one for all loops where it was handed over, waiting for their loop.
final class ListenerSockets: Sendable {
    private final class Waiting: Sendable {
        let socket: Mutex<FileDescriptor?>
        let loop: Int
        let front: Front
        let isShared: Bool

        init(_ socket: consuming sending FileDescriptor, loop: Int, front: Front, isShared: Bool) {
            self.socket = Mutex(socket)
            self.loop = loop
            self.front = front
            self.isShared = isShared
        }
    }

    private let loops: Int
    private let waiting = Mutex<[Waiting]>([])
    private let bound = Mutex<[(endpoint: Endpoint, front: Front)]>([])

    init(loops: Int) { self.loops = loops }

    /// The ports of the HTTPS endpoints, in order.
    var httpsPorts: [UInt16] { bound.withLock { $0.filter { $0.front == .https }.map(\.endpoint.port) } }

    /// The endpoints of a front, for the log.
    func addresses(_ front: Front) -> String {
        bound.withLock { $0.filter { $0.front == front }.map(\.endpoint.description) }.joined(separator: " ")
    }

    /// Opens the sockets of one endpoint, or takes over the one that was handed over for it. A host without IPv6 is a
    /// warning, which is returned.
    func add(_ endpoint: Endpoint, front: Front, from inherited: InheritedSockets) throws(StartFailure) -> String? {
        var port = endpoint.port
        do throws(SystemError) {
            if let socket = inherited.take(endpoint) {
                for loop in 0..<loops { wait(try socket.duplicate(), loop, front, isShared: loops > 1) }
            } else {
                let (high, low) = (endpoint.address.high, endpoint.address.low)
                if let reason = Socket.whyTaken(high: high, low: low, port: port) { throw reason }
                for loop in 0..<loops {
                    let socket = try Socket.listen(high: high, low: low, port: port)
                    port = Socket.localPort(of: socket)
                    wait(socket, loop, front, isShared: false)
                }
            }
        } catch {
            if Self.lacksIPv6(endpoint, error) { return Self.withoutIPv6(endpoint) }
            throw StartFailure("cannot listen on \(endpoint): \(error)")
        }
        bound.withLock { $0.append((Endpoint(address: endpoint.address, port: port), front)) }
        return nil
    }

    private func wait(_ socket: consuming sending FileDescriptor, _ loop: Int, _ front: Front, isShared: Bool) {
        let entry = Waiting(socket, loop: loop, front: front, isShared: isShared)
        waiting.withLock { $0.append(entry) }
    }

    /// Whether an endpoint cannot be had because this host has no IPv6 at all.
    static func lacksIPv6(_ endpoint: Endpoint, _ reason: SystemError) -> Bool {
        !endpoint.address.isIPv4
            && (reason.code == EAFNOSUPPORT || reason.code == EADDRNOTAVAIL && !LocalAddresses.haveIPv6)
    }

    /// What is said of such an endpoint.
    static func withoutIPv6(_ endpoint: Endpoint) -> String {
        "\(endpoint): this host has no IPv6; not listening there"
    }

    /// Hands a loop its sockets. On the loop's thread.
    func give(loop: Int, to worker: Worker, _ minecraft: MinecraftWorker) throws(SystemError) {
        for entry in waiting.withLock({ $0 }) where entry.loop == loop {
            guard let socket = entry.socket.withLock({ $0.take() }) else { continue }
            switch entry.front {
            case .https: try worker.serve(socket, secure: true, isShared: entry.isShared)
            case .http: try worker.serve(socket, secure: false, isShared: entry.isShared)
            case .minecraft: try minecraft.serve(socket, isShared: entry.isShared)
            }
        }
    }
}
