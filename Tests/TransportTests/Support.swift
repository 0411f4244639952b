import Reactor
import StreamSupport
import Transport

/// The far end of a stream; closed when let go.
final class Peer {
    let socket: FileDescriptor

    init(_ socket: consuming FileDescriptor) { self.socket = socket }

    func sends(_ bytes: [UInt8]) -> Bool { Socket.send(bytes.span, to: socket) == .moved(bytes.count) }

    /// All that has come, and how it goes on.
    func receives() -> (bytes: [UInt8], end: IOResult) {
        var all: [UInt8] = []
        while true {
            var result = IOResult.wouldBlock
            all += [UInt8](capacity: 1 << 16) { result = Socket.receive(from: socket, into: &$0) }
            if case .moved(let count) = result, count > 0 { continue }
            return (all, result)
        }
    }
}

/// A stream over loopback TCP.
final class Wired: HeldStream {
    /// The stream and the one it talks to.
    static func make() throws -> (Wired, Peer) {
        let listener = try Socket.listen(high: 0, low: 0xffff_7f00_0001, port: 0)
        let peer = Peer(
            try Socket.connect(high: 0, low: 0xffff_7f00_0001, port: Socket.localPort(of: listener)))
        guard let accepted = try Socket.accept(on: listener) else { throw SystemError(SystemError.timedOut) }
        return (Wired(Stream(accepted.takeDescriptor())), peer)
    }
}
