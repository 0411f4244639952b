public import Reactor
public import TLS
public import Wire

/// What a read from a stream came to.
public enum ReadOutcome: Sendable, Equatable {
    /// So many bytes were appended to the buffer; there may be more.
    case bytes(Int)
    /// Nothing until the loop reports readiness.
    case blocked
    /// The peer will send no more.
    case ended
    /// The connection is broken, or the peer broke TLS.
    case failed
}

/// What a write to a stream came to. In each case but `failed` the stream took all bytes.
public enum WriteOutcome: Sendable, Equatable {
    /// The kernel has them.
    case sent
    /// Some wait in the stream: backpressure, until the loop reports that the socket is writable.
    case blocked
    /// The connection is broken.
    case failed
}

/// One TCP connection, plain or inside TLS, non-blocking. It holds memory only for bytes that the kernel did not take
/// yet. Owned by a connection object, used on its loop's thread.
public struct Stream: ~Copyable {
    /// The socket, for registration with the loop.
    public let descriptor: FileDescriptor
    /// The TLS session, `nil` on a plain stream.
    public let tls: TLSSession?
    private var outbound = ByteBuffer()
    var isDrained = false
    var peerClosed = false
    private var unsentLimit = 0
    private var wantsShutdown = false
    private var didShutdown = false
    /// How much the next read asks for: it grows while reads come back full, so that a bulk transfer takes few calls.
    private var appetite = Stream.smallRead
    /// Plaintext bytes read so far.
    public internal(set) var bytesRead: UInt64 = 0
    /// Plaintext bytes accepted for writing so far.
    public internal(set) var bytesWritten: UInt64 = 0

    /// The reads a stream makes: one that fits a TLS record with what is put around it, and two for bulk.
    public static let smallRead = 16 * 1024
    private static let mediumRead = 64 * 1024
    private static let largeRead = 256 * 1024

    /// A stream that owns `descriptor`; `tls` is made for the same descriptor.
    public init(_ descriptor: consuming FileDescriptor, tls: TLSSession? = nil) {
        self.descriptor = descriptor
        self.tls = tls
    }

    /// Bytes accepted that the kernel has not taken.
    public var pendingBytes: Int { outbound.count }

    /// About how many bytes the kernel would take now: a writer of no more leaves nothing waiting here. Asks the kernel.
    public var sendRoom: Int { isBlocked ? 0 : Socket.sendRoom(of: descriptor, unsentLimit: unsentLimit) }

    /// Lets the kernel hold about `bytes` that it has not sent yet.
    public mutating func limitUnsent(_ bytes: Int) {
        unsentLimit = bytes
        Socket.limitUnsent(descriptor, bytes: bytes)
    }

    /// Whether a writer must wait.
    public var isBlocked: Bool { !outbound.isEmpty }

    /// Whether the kernel holds bytes of ours that it did not send yet.
    public var hasUnsent: Bool { Socket.unsentBytes(of: descriptor) > 0 }

    /// Bytes accepted that the peer's kernel did not acknowledge, as far as TCP tells.
    public var undeliveredBytes: Int { outbound.count + Socket.unacknowledgedBytes(of: descriptor) }

    /// Whether a read would find nothing for sure.
    public var hasNothingToRead: Bool {
        if peerClosed { return false }
        if let tls { return tls.isDrained }
        return isDrained
    }

    /// Whether nothing has come that was not read, no end either: what one who is to be used again must be like.
    public var isQuiet: Bool {
        if hasNothingToRead { return true }
        if peerClosed { return false }
        // The last read came back full, so that nobody knows.
        if case .blocked = peek(atMost: 1, { _ in () }) { return true }
        return false
    }

    /// Whether the write side was shut down, or will be once the kernel has taken what is pending.
    public var isWriteShutdown: Bool { wantsShutdown }

    /// Whether FIN was sent.
    public var didShutdownWriting: Bool { didShutdown }

    /// Takes note of what the kernel reported. Call it first in `ready`.
    public mutating func note(_ events: Readiness) {
        if !events.isDisjoint(with: [.readable, .peerClosed, .error, .hangup]) {
            isDrained = false
            tls?.socketBecameReadable()
        }
        if !events.isDisjoint(with: [.peerClosed, .error, .hangup]) {
            peerClosed = true
            tls?.peerClosedItsSide()
        }
    }

    /// What came of looking at bytes without taking them.
    public enum PeekOutcome<Found> {
        /// What the look found.
        case found(Found)
        /// Nothing has come yet.
        case blocked
        /// The peer closed, or the connection broke.
        case ended
    }

    /// Looks at the first bytes below TLS without taking them.
    public func peek<Found>(atMost limit: Int, _ look: (borrowing Span<UInt8>) -> Found) -> PeekOutcome<Found> {
        var bytes = ByteBuffer(capacity: limit)
        switch bytes.withWritable({ Socket.peek(at: descriptor, into: &$0) }) {
        case .moved(0), .failed: return .ended
        case .wouldBlock: return .blocked
        case .moved: return .found(bytes.withReadable(look))
        }
    }

    /// Takes `count` bytes that a peek saw and forgets them.
    public func skip(_ count: Int) {
        guard count > 0 else { return }
        var bytes = ByteBuffer(capacity: count)
        _ = bytes.withWritable { Socket.receive(from: descriptor, into: &$0) }
    }

    /// Takes the TLS handshake as far as it goes; `.done` at once on a plain stream.
    public mutating func handshake(_ pool: BlockPool) -> TLSOutcome {
        guard let tls else { return .done(0) }
        let outcome = tls.handshake(outbound: &outbound, pool)
        if flush(pool) == .failed { return .failed }
        return outcome
    }

    /// Appends what has arrived to `buffer`, at most about 256 KiB a call and no more than `limit`. An empty one keeps
    /// `headroom` bytes free in front.
    public mutating func read(
        into buffer: inout ByteBuffer, limit: Int = .max, headroom: Int = 0, _ pool: BlockPool
    ) -> ReadOutcome {
        let wanted = min(appetite, limit)
        if headroom > 0 && buffer.isEmpty && !hasNothingToRead {
            buffer.reserve(wanted + headroom, from: pool)
            buffer.leaveHeadroom(headroom)
        }
        var outcome: ReadOutcome
        if let tls {
            let waited = isBlocked
            outcome = readTLS(tls, into: &buffer, wanted, pool)
            // What TLS itself had to say (an alert, say) must not wait for an edge that nobody awaits.
            if isBlocked, !waited, flush(pool) == .failed { outcome = .failed }
        } else {
            outcome = readPlain(into: &buffer, wanted, pool)
        }
        if case .bytes(let count) = outcome {
            bytesRead &+= UInt64(count)
            if count >= wanted {
                appetite = appetite < Self.mediumRead ? Self.mediumRead : Self.largeRead
            } else if count < appetite / 4 {
                appetite = Self.smallRead
            }
        }
        return outcome
    }

    /// How much the next read asks for unless it is limited to less.
    public var nextRead: Int { appetite }

    /// Asks for little again: the one who gets the bytes does not keep up.
    public mutating func readLess() { appetite = Self.smallRead }

    private mutating func readPlain(into buffer: inout ByteBuffer, _ wanted: Int, _ pool: BlockPool) -> ReadOutcome {
        if isDrained && !peerClosed { return .blocked }
        buffer.reserve(wanted, from: pool)
        let result = buffer.withWritable { output in Socket.receive(from: descriptor, into: &output, atMost: wanted) }
        switch result {
        case .moved(0): return .ended
        case .moved(let count):
            // Edge-triggered: after a short read the kernel will report anew, except an end it reported already.
            if count < wanted { isDrained = true }
            return .bytes(count)
        case .wouldBlock:
            isDrained = true
            peerClosed = false
            return .blocked
        case .failed: return .failed
        }
    }

    private mutating func readTLS(
        _ tls: TLSSession, into buffer: inout ByteBuffer, _ wanted: Int, _ pool: BlockPool
    ) -> ReadOutcome {
        if tls.isDrained && !peerClosed { return .blocked }
        if peerClosed { tls.socketBecameReadable() }
        buffer.reserve(wanted, from: pool)
        var total = 0
        while total < wanted {
            let outcome = buffer.withWritable { output in
                tls.read(into: &output, atMost: wanted - total, outbound: &outbound, pool)
            }
            switch outcome {
            case .done(let count):
                total += count
                if buffer.room == 0 || (tls.isDrained && !peerClosed) { return .bytes(total) }
            case .wouldBlock:
                peerClosed = false
                return total > 0 ? .bytes(total) : .blocked
            case .ended: return total > 0 ? .bytes(total) : .ended
            case .failed: return total > 0 ? .bytes(total) : .failed
            }
        }
        return .bytes(total)
    }

    /// Takes `bytes` without sending them yet: more follow, and `flush` comes before the event is over.
    public mutating func enqueue(_ bytes: borrowing Span<UInt8>, _ pool: BlockPool) -> Bool {
        bytesWritten &+= UInt64(bytes.count)
        guard let tls else {
            outbound.reserve(bytes.count, from: pool)
            outbound.append(bytes)
            return true
        }
        if case .done = tls.write(bytes, outbound: &outbound, pool) { return true }
        return bytes.isEmpty
    }

    /// Takes `bytes` and sends what the kernel accepts.
    public mutating func send(_ bytes: borrowing Span<UInt8>, _ pool: BlockPool) -> WriteOutcome {
        if tls != nil || isBlocked {
            guard enqueue(bytes, pool) else { return .failed }
            return flush(pool)
        }
        bytesWritten &+= UInt64(bytes.count)
        switch Socket.send(bytes, to: descriptor) {
        case .moved(let count):
            if count == bytes.count { return .sent }
            outbound.reserve(bytes.count - count, from: pool)
            outbound.append(bytes.extracting(droppingFirst: count))
            return .blocked
        case .wouldBlock:
            outbound.reserve(bytes.count, from: pool)
            outbound.append(bytes)
            return .blocked
        case .failed: return .failed
        }
    }

    /// Sends what is pending. Call it when the loop reports that the socket is writable.
    public mutating func flush(_ pool: BlockPool) -> WriteOutcome {
        while !outbound.isEmpty {
            switch outbound.withReadable({ Socket.send($0, to: descriptor) }) {
            case .moved(let count) where count == outbound.count: outbound.consume(count)
            case .moved(let count):
                outbound.consume(count)
                outbound.recycle(into: pool)
                return .blocked
            case .wouldBlock:
                outbound.recycle(into: pool)
                return .blocked
            case .failed:
                outbound.removeAll()
                outbound.recycle(into: pool)
                return .failed
            }
        }
        outbound.recycle(into: pool)
        if wantsShutdown && !didShutdown {
            didShutdown = true
            Socket.shutdownWriting(descriptor)
        }
        return .sent
    }

    /// Ends our direction: close_notify and FIN, after what is pending.
    public mutating func shutdownWriting(_ pool: BlockPool) -> WriteOutcome {
        if wantsShutdown { return isBlocked ? .blocked : .sent }
        wantsShutdown = true
        tls?.close(outbound: &outbound, pool)
        return flush(pool)
    }

    /// Drops what is pending and makes the coming close a reset: the peer must not take what it got for the whole.
    public mutating func abort(_ pool: BlockPool) {
        outbound.removeAll()
        outbound.recycle(into: pool)
        // Neither close_notify nor FIN may follow: each would say that this was all.
        wantsShutdown = true
        didShutdown = true
        Socket.resetOnClose(descriptor)
    }
}
