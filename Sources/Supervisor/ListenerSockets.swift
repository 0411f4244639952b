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
/// endpoint (`SO_REUSEPORT`), waiting for their loop.
final class ListenerSockets: Sendable {
    private final class Waiting: Sendable {
        let socket: Mutex<FileDescriptor?>
        let loop: Int
        let front: Front

        init(_ socket: consuming sending FileDescriptor, loop: Int, front: Front) {
            self.socket = Mutex(socket)
            self.loop = loop
            self.front = front
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

    /// Opens the sockets of one endpoint. A host without IPv6 is a warning, which is returned.
    func add(_ endpoint: Endpoint, front: Front) throws(StartFailure) -> String? {
        let address = endpoint.address
        if let reason = Socket.whyTaken(high: address.high, low: address.low, port: endpoint.port) {
            if !address.isIPv4 && (reason.code == EAFNOSUPPORT || reason.code == EADDRNOTAVAIL) {
                return "\(endpoint): this host has no IPv6; not listening there"
            }
            throw StartFailure("cannot listen on \(endpoint): \(reason)")
        }
        var port = endpoint.port
        for loop in 0..<loops {
            do {
                let socket = try Socket.listen(high: address.high, low: address.low, port: port)
                port = Socket.localPort(of: socket)
                let entry = Waiting(socket, loop: loop, front: front)
                waiting.withLock { $0.append(entry) }
            } catch {
                if !address.isIPv4 && error.code == EAFNOSUPPORT {
                    return "\(endpoint): this host has no IPv6; not listening there"
                }
                throw StartFailure("cannot listen on \(endpoint): \(error)")
            }
        }
        bound.withLock { $0.append((Endpoint(address: address, port: port), front)) }
        return nil
    }

    /// Hands a loop its sockets. On the loop's thread.
    func give(loop: Int, to worker: Worker, _ minecraft: MinecraftWorker) throws(SystemError) {
        for entry in waiting.withLock({ $0 }) where entry.loop == loop {
            guard let socket = entry.socket.withLock({ $0.take() }) else { continue }
            switch entry.front {
            case .https: try worker.serve(socket, secure: true)
            case .http: try worker.serve(socket, secure: false)
            case .minecraft: try minecraft.serve(socket)
            }
        }
    }
}
