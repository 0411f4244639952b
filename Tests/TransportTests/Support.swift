import Reactor
import Transport
import Wire

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
final class Wired {
    var stream: Stream
    let pool = BlockPool()
    var buffer = ByteBuffer()

    /// The stream and the one it talks to.
    static func make() throws -> (Wired, Peer) {
        let listener = try Socket.listen(high: 0, low: 0xffff_7f00_0001, port: 0)
        let peer = Peer(
            try Socket.connect(high: 0, low: 0xffff_7f00_0001, port: Socket.localPort(of: listener)))
        guard let accepted = try Socket.accept(on: listener) else { throw SystemError(SystemError.timedOut) }
        return (Wired(accepted.takeDescriptor()), peer)
    }

    private init(_ socket: consuming FileDescriptor) { stream = Stream(socket) }

    /// Says what the kernel would say when bytes come.
    func edge(_ events: Readiness = .readable) { stream.note(events) }

    func read(limit: Int = .max) -> (outcome: ReadOutcome, bytes: [UInt8]) {
        let outcome = stream.read(into: &buffer, limit: limit, pool)
        let bytes = buffer.withReadable { $0.copied() }
        buffer.removeAll()
        buffer.recycle(into: pool)
        return (outcome, bytes)
    }

    func send(_ bytes: [UInt8]) -> WriteOutcome { stream.send(bytes.span, pool) }

    // A stream cannot be copied, which an expectation about a part of it would do.
    var hasNothingToRead: Bool { stream.hasNothingToRead }
    var isBlocked: Bool { stream.isBlocked }
    var pendingBytes: Int { stream.pendingBytes }
    var isWriteShutdown: Bool { stream.isWriteShutdown }
    var didShutdownWriting: Bool { stream.didShutdownWriting }
    var bytesRead: UInt64 { stream.bytesRead }
    var bytesWritten: UInt64 { stream.bytesWritten }

    func flush() -> WriteOutcome { stream.flush(pool) }

    func shutdownWriting() -> WriteOutcome { stream.shutdownWriting(pool) }

    func abort() { stream.abort(pool) }
}

func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
