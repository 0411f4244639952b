import CLinux
import Glibc

/// What a non-blocking read or write came to.
public enum IOResult: Sendable, Equatable {
    /// So many bytes moved; 0 on a read means the peer closed its side.
    case moved(Int)
    /// Nothing can move before the loop reports readiness.
    case wouldBlock
    /// The connection is broken.
    case failed(SystemError)
}

/// A connection just accepted and its peer's address, 128 bits with IPv4 mapped.
public struct AcceptedSocket: ~Copyable {
    /// The connection, non-blocking.
    public var descriptor: FileDescriptor
    /// The first half of the peer's address.
    public let high: UInt64
    /// The second half.
    public let low: UInt64
    /// The peer's port.
    public let port: UInt16

    /// Hands the connection over.
    public consuming func takeDescriptor() -> FileDescriptor { descriptor }
}

/// The system calls on TCP sockets, each wrapped once. *Would block* is a result; an interrupted call is repeated.
public enum Socket {
    /// Accepts one connection, non-blocking; `nil` when none waits.
    public static func accept(
        on listener: borrowing FileDescriptor
    ) throws(SystemError) -> AcceptedSocket? {
        while true {
            var high: UInt64 = 0
            var low: UInt64 = 0
            var port: UInt16 = 0
            let raw = unsafe zlh_accept(listener.raw, &high, &low, &port)
            if raw >= 0 {
                return AcceptedSocket(descriptor: FileDescriptor(raw), high: high, low: low, port: port)
            }
            switch -raw {
            case EAGAIN: return nil
            // The peer went before we came (accept(2), "Error handling"): look at the next one.
            case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
                ENETUNREACH:
                continue
            default: throw SystemError(-raw)
            }
        }
    }

    /// Whether a connection waits to be accepted.
    public static func hasArrivals(on listener: borrowing FileDescriptor) -> Bool {
        var entry = pollfd(fd: listener.raw, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) > 0
    }

    /// A listening socket of its own for the calling loop (`SO_REUSEPORT`). The address is 128 bits, IPv4 mapped.
    public static func listen(
        high: UInt64, low: UInt64, port: UInt16, backlog: Int32 = 4096
    ) throws(SystemError) -> FileDescriptor {
        let raw = zlh_listen(high, low, port, backlog)
        guard raw >= 0 else { throw SystemError(-raw) }
        return FileDescriptor(raw)
    }

    /// Why nobody could listen on an address alone, `nil` when one could: `listen` shares a port with whoever shares it
    /// too, so that a second process of ours would take half of the connections without a word.
    public static func whyTaken(high: UInt64, low: UInt64, port: UInt16) -> SystemError? {
        let status = port == 0 ? 0 : zlh_try_bind(high, low, port)
        return status == 0 ? nil : SystemError(-status)
    }

    /// Starts connecting; readiness for writing tells that it ended, `pendingError` how.
    public static func connect(high: UInt64, low: UInt64, port: UInt16) throws(SystemError) -> FileDescriptor {
        let raw = zlh_connect(high, low, port)
        guard raw >= 0 else { throw SystemError(-raw) }
        zlh_tune_tcp(raw)
        return FileDescriptor(raw)
    }

    /// The port that a socket is bound to.
    public static func localPort(of socket: borrowing FileDescriptor) -> UInt16 {
        UInt16(truncatingIfNeeded: max(0, zlh_local_port(socket.raw)))
    }

    /// The address and port that a connection has on our side, 128 bits with IPv4 mapped; zeros when it has none.
    public static func localAddress(of socket: borrowing FileDescriptor) -> (high: UInt64, low: UInt64, port: UInt16) {
        var high: UInt64 = 0
        var low: UInt64 = 0
        var port: UInt16 = 0
        _ = unsafe zlh_local_address(socket.raw, &high, &low, &port)
        return (high, low, port)
    }

    /// No delay for small writes; the dead are found by keep-alive and `TCP_USER_TIMEOUT`.
    public static func tune(_ socket: borrowing FileDescriptor) { zlh_tune_tcp(socket.raw) }

    /// Lets the kernel hold about `bytes` that it has not sent yet (TCP_NOTSENT_LOWAT): what comes later and is more
    /// urgent does not wait behind more than these.
    public static func limitUnsent(_ socket: borrowing FileDescriptor, bytes: Int) {
        zlh_limit_unsent(socket.raw, Int32(clamping: bytes))
    }

    /// Bytes that the kernel took from us and did not send yet (SIOCOUTQNSD).
    public static func unsentBytes(of socket: borrowing FileDescriptor) -> Int { Int(max(0, zlh_unsent(socket.raw))) }

    /// Bytes that the kernel took from us and the peer did not acknowledge (SIOCOUTQ).
    public static func unacknowledgedBytes(of socket: borrowing FileDescriptor) -> Int {
        Int(max(0, zlh_unacknowledged(socket.raw)))
    }

    /// About how many bytes the kernel would take now; `unsentLimit` is what `limitUnsent` was told, 0 for none.
    public static func sendRoom(of socket: borrowing FileDescriptor, unsentLimit: Int) -> Int {
        zlh_send_room(socket.raw, Int32(clamping: unsentLimit))
    }

    /// The error of a connect that has ended, `nil` when it succeeded.
    public static func pendingError(of socket: borrowing FileDescriptor) -> SystemError? {
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        guard unsafe getsockopt(socket.raw, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else {
            return SystemError(errno)
        }
        return code == 0 ? nil : SystemError(code)
    }

    /// Receives into `output`, at most its free capacity and `limit`.
    public static func receive(
        from socket: borrowing FileDescriptor, into output: inout OutputSpan<UInt8>, atMost limit: Int = .max
    ) -> IOResult {
        receive(from: socket, into: &output, atMost: limit, flags: 0)
    }

    /// Looks at what waits to be received and leaves it there.
    public static func peek(at socket: borrowing FileDescriptor, into output: inout OutputSpan<UInt8>) -> IOResult {
        receive(from: socket, into: &output, atMost: .max, flags: Int32(MSG_PEEK))
    }

    private static func receive(
        from socket: borrowing FileDescriptor, into output: inout OutputSpan<UInt8>, atMost limit: Int, flags: Int32
    ) -> IOResult {
        unsafe output.withUnsafeMutableBufferPointer { buffer, initialized in
            while true {
                let room = min(buffer.count - initialized, limit)
                let moved = unsafe recv(socket.raw, buffer.baseAddress.map { unsafe $0 + initialized }, room, flags)
                if moved >= 0 {
                    initialized += moved
                    return .moved(moved)
                }
                switch errno {
                case EINTR: continue
                case EAGAIN: return .wouldBlock
                case let code: return .failed(SystemError(code))
                }
            }
        }
    }

    /// Sends what the kernel takes of `bytes`.
    public static func send(_ bytes: borrowing Span<UInt8>, to socket: borrowing FileDescriptor) -> IOResult {
        unsafe bytes.withUnsafeBufferPointer { buffer in
            while true {
                let moved = unsafe Glibc.send(socket.raw, buffer.baseAddress, buffer.count, Int32(MSG_NOSIGNAL))
                if moved >= 0 { return .moved(moved) }
                switch errno {
                case EINTR: continue
                case EAGAIN: return .wouldBlock
                case let code: return .failed(SystemError(code))
                }
            }
        }
    }

    /// Sends FIN: no more bytes of ours follow.
    public static func shutdownWriting(_ socket: borrowing FileDescriptor) {
        _ = shutdown(socket.raw, Int32(SHUT_WR))
    }

    /// Makes the coming close a reset, so that nothing lingers in the kernel.
    public static func resetOnClose(_ socket: borrowing FileDescriptor) {
        var option = linger(l_onoff: 1, l_linger: 0)
        _ = unsafe setsockopt(socket.raw, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }
}

/// A listening TCP socket that somebody else opened and handed over by descriptor.
public struct ListeningSocket: Sendable {
    private let raw: Int32
    /// The first half of its address, 128 bits with IPv4 mapped.
    public let high: UInt64
    /// The second half.
    public let low: UInt64
    /// Its port.
    public let port: UInt16
    /// Whether IPv4 connections come to this IPv6 socket too.
    public let takesIPv4: Bool

    /// Makes `raw` close-on-exec and non-blocking; `nil` when it is no listening TCP socket.
    public init?(adopting raw: Int32) {
        var (high, low, port, takesIPv4) = (UInt64(0), UInt64(0), UInt16(0), Int32(0))
        guard unsafe zlh_is_tcp_listener(raw, &high, &low, &port, &takesIPv4) == 1,
            fcntl(raw, F_SETFD, FD_CLOEXEC) >= 0, fcntl(raw, F_SETFL, O_NONBLOCK) >= 0
        else { return nil }
        self.raw = raw
        self.high = high
        self.low = low
        self.port = port
        self.takesIPv4 = takesIPv4 != 0
    }

    /// Another descriptor of the same socket.
    public func duplicate() throws(SystemError) -> FileDescriptor {
        let copy = fcntl(raw, F_DUPFD_CLOEXEC, 3)
        guard copy >= 0 else { throw SystemError(errno) }
        return FileDescriptor(copy)
    }

    /// Closes the descriptor that was handed over, once all copies are made.
    public func close() { _ = Glibc.close(raw) }
}
