package import Reactor
package import Transport
package import Wire

/// A stream for tests, in a class: it cannot be copied, which an expectation about a part of it would do. It lives on
/// the thread of its test.
open class HeldStream {
    package var stream: Stream
    package let pool = BlockPool()
    private var buffer = ByteBuffer()

    package init(_ stream: consuming Stream) { self.stream = stream }

    package var hasNothingToRead: Bool { stream.hasNothingToRead }
    package var isBlocked: Bool { stream.isBlocked }
    package var pendingBytes: Int { stream.pendingBytes }
    package var isWriteShutdown: Bool { stream.isWriteShutdown }
    package var didShutdownWriting: Bool { stream.didShutdownWriting }
    package var bytesRead: UInt64 { stream.bytesRead }
    package var bytesWritten: UInt64 { stream.bytesWritten }

    /// Says what the kernel would say when bytes come.
    package func edge(_ events: Readiness = .readable) { stream.note(events) }

    /// Reads once.
    package func read(limit: Int = .max) -> (outcome: ReadOutcome, bytes: [UInt8]) {
        let outcome = stream.read(into: &buffer, limit: limit, pool)
        let bytes = buffer.withReadable { $0.copied() }
        buffer.removeAll()
        buffer.recycle(into: pool)
        return (outcome, bytes)
    }

    package func send(_ bytes: [UInt8]) -> WriteOutcome { stream.send(bytes.span, pool) }

    package func flush() -> WriteOutcome { stream.flush(pool) }

    package func shutdownWriting() -> WriteOutcome { stream.shutdownWriting(pool) }

    package func abort() { stream.abort(pool) }
}

/// Bytes that differ from their neighbours, and from those 256 further on.
package func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) } }
