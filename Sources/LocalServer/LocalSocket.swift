import Glibc
import Reactor
import Wire

/// One connected stream socket, non-blocking underneath; `poll` gives each wait its deadline.
///
/// Its connection's thread reads it; others may send (in turn, see `LocalWebSocket`) and shut it down. The
/// descriptor closes when the last of them lets go, so no thread ever uses a number that was given away.
final class LocalSocket: Sendable {
    private let descriptor: FileDescriptor

    init(_ descriptor: consuming FileDescriptor) {
        self.descriptor = descriptor
    }

    /// Receives once, waiting until `deadlineMs` (monotonic; `nil`: for ever). Returns 0 at the end of the stream.
    func receive(into buffer: inout ByteBuffer, until deadlineMs: UInt64?) throws(LocalError) -> Int {
        buffer.reserve(16 * 1024)
        while true {
            var result = IOResult.wouldBlock
            buffer.withWritable { output in
                result = Socket.receive(from: descriptor, into: &output)
            }
            switch result {
            case .moved(let count): return count
            case .wouldBlock: try wait(for: POLLIN, until: deadlineMs)
            case .failed: throw .closed
            }
        }
    }

    /// Sends all of `bytes`, each wait for room no longer than `stallMs`.
    func send(_ bytes: borrowing Span<UInt8>, stallMs: UInt64) throws(LocalError) {
        var sent = 0
        while sent < bytes.count {
            switch Socket.send(bytes.extracting(sent..<bytes.count), to: descriptor) {
            case .moved(let count): sent += count
            case .wouldBlock: try wait(for: POLLOUT, until: Clock.monotonicMs() + stallMs)
            case .failed: throw .closed
            }
        }
    }

    /// Waits until the peer has gone or `deadlineMs` has come; whether it has gone.
    func waitForHangUp(until deadlineMs: UInt64) -> Bool {
        do throws(LocalError) {
            // POLLRDHUP, which Glibc's module hides: the peer has closed, or at least its half.
            try wait(for: 0x2000, until: deadlineMs)
            return true
        } catch {
            return error != .timedOut
        }
    }

    /// Sends FIN and throws away what still comes, for a second and 64 MiB at most: a close with unread bytes would reset
    /// the connection and with it our last words (RFC 9112 section 9.6). For the reading thread.
    func linger() {
        shutdownWriting()
        let deadline = Clock.monotonicMs() + 1000
        var rest = ByteBuffer()
        var total = 0
        while total < 64 * 1024 * 1024, let count = try? receive(into: &rest, until: deadline), count > 0 {
            total += count
            rest.removeAll()
        }
        shutdownBoth()
    }

    /// Sends FIN.
    func shutdownWriting() {
        Socket.shutdownWriting(descriptor)
    }

    /// Ends both directions; whoever waits on the socket wakes up. Any thread.
    func shutdownBoth() {
        _ = Glibc.shutdown(descriptor.raw, Int32(SHUT_RDWR))
    }

    /// The user at the other end, when the kernel can tell: of a unix socket, or of a loopback TCP connection.
    func peerUser() -> UInt32? {
        LocalPeer.user(of: descriptor)
    }

    private func wait(for events: Int32, until deadlineMs: UInt64?) throws(LocalError) {
        while true {
            var timeout: Int32 = -1
            if let deadlineMs {
                let now = Clock.monotonicMs()
                guard now < deadlineMs else { throw .timedOut }
                timeout = Int32(clamping: deadlineMs - now)
            }
            var item = pollfd(fd: descriptor.raw, events: Int16(truncatingIfNeeded: events), revents: 0)
            let ready = unsafe poll(&item, 1, timeout)
            if ready > 0 { return }
            if ready < 0 && errno != EINTR { throw .system(SystemError(errno)) }
        }
    }
}
