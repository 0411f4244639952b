import Glibc

@testable import Reactor

/// An open socket, closed when let go.
final class End {
    let descriptor: FileDescriptor

    init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }
}

/// Two joined sockets, non-blocking.
func joinedSockets() -> (near: End, far: End) {
    var ends: (Int32, Int32) = (-1, -1)
    let status = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
        unsafe socketpair(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0,
            bytes.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    precondition(status == 0)
    return (End(FileDescriptor(ends.0)), End(FileDescriptor(ends.1)))
}

/// Sends text and says how much the kernel took.
func send(_ text: String, to socket: borrowing FileDescriptor) -> IOResult {
    Socket.send(Array(text.utf8).span, to: socket)
}

/// Receives at most so many bytes.
func receive(_ most: Int = 64, from socket: borrowing FileDescriptor) -> (result: IOResult, bytes: [UInt8]) {
    var result = IOResult.wouldBlock
    let bytes = [UInt8](capacity: most) { output in result = Socket.receive(from: socket, into: &output) }
    return (result, bytes)
}

/// Notes what it is told, in order.
final class Recorder: EventSource {
    let end: End
    var descriptor: FileDescriptor { _read { yield end.descriptor } }
    var log: [String] = []
    var seen: Readiness = []
    var onReady: ((Recorder) -> Void)?
    var onResumed: ((Recorder) -> Void)?
    var onExpired: ((Recorder) -> Void)?

    init(_ end: End) { self.end = end }

    override func ready(_ events: Readiness) {
        seen.formUnion(events)
        log.append("ready")
        onReady?(self)
    }

    override func expired() {
        log.append("expired")
        onExpired?(self)
    }

    override func resumed() {
        log.append("resumed")
        onResumed?(self)
    }
}
