import Glibc
import Synchronization
import Wire

/// The process's log. Loops hand over whole lines; one thread writes them to the descriptor.
///
/// `submit` copies under a short lock and never waits for the descriptor: when the reader of standard output is slow
/// or gone and the queue is full, lines are dropped, whole ones, and counted. A thread that could not be started is tried
/// again with the next lines.
public final class LogSink: Sendable {
    /// Lines on their way from one thread to another: nobody else refers to the buffer.
    private struct Batch: ~Copyable, @unchecked Sendable {
        var lines = ByteBuffer()
    }

    private struct Queue: ~Copyable {
        var batch = Batch()
        /// Bytes the writer has taken and not yet written: they count towards the capacity.
        var writing = 0
        var writerAwake = false
        var hasWriter = false
        var stopping = false
        var stopped = false
    }

    private let queue = Mutex(Queue())
    private let bell = Bell()
    private let descriptor: Int32
    private let capacityBytes: Int
    private let dropCount = Atomic<UInt64>(0)
    private let minimum: Atomic<UInt8>

    /// After a write the writer rests so long, and so gathers the lines of many turns into one system call.
    private static let restMs = 5

    /// A sink that writes to `descriptor`, which it does not own, and queues at most `capacityBytes`. Starts its thread.
    public init(descriptor: Int32 = 1, capacityBytes: Int = 4 << 20, level: LogLevel = .info) {
        self.descriptor = descriptor
        self.capacityBytes = capacityBytes
        minimum = Atomic(level.rawValue)
        startWriter()
    }

    /// The least level that is written; may be changed at any time.
    public var level: LogLevel {
        get { LogLevel(rawValue: minimum.load(ordering: .relaxed)) ?? .info }
        set { minimum.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Whether lines of `level` are written. To be asked before a line is built.
    public func allows(_ level: LogLevel) -> Bool {
        level.rawValue >= minimum.load(ordering: .relaxed)
    }

    /// Lines that were dropped (`zlh_edge_log_dropped_total`).
    public var dropped: UInt64 { dropCount.load(ordering: .relaxed) }

    /// Queues whole lines, each ended by a newline. Never blocks on the descriptor.
    public func submit(_ lines: borrowing Span<UInt8>) {
        if lines.isEmpty { return }
        var (taken, wake, lacksWriter) = (0, false, false)
        queue.withLock { queue in
            let room = capacityBytes - queue.batch.lines.count - queue.writing
            taken = queue.stopping ? 0 : wholeLines(lines, within: room)
            queue.batch.lines.append(lines, 0..<taken)
            wake = taken > 0 && !queue.writerAwake
            if wake { queue.writerAwake = true }
            lacksWriter = !queue.hasWriter && !queue.stopping
        }
        if lacksWriter { startWriter() }
        if wake { bell.ring() }
        if taken < lines.count { drop(countLines(lines, from: taken)) }
    }

    /// Writes what is queued, for at most `timeoutMs` milliseconds, and ends the writer. Later lines are dropped.
    /// Blocks the caller; returns whether all was written in time.
    @discardableResult
    public func flushAndStop(timeoutMs: Int = 1000) -> Bool {
        let hasWriter = queue.withLock { queue in
            queue.stopping = true
            return queue.hasWriter
        }
        bell.ring()
        if !hasWriter { write() }
        var left = timeoutMs
        while left > 0 {
            if queue.withLock({ $0.stopped }) { return true }
            sleep(ms: 1)
            left -= 1
        }
        return queue.withLock { $0.stopped }
    }

    private func startWriter() {
        let claimed = queue.withLock { queue in
            defer { queue.hasWriter = true }
            return !queue.hasWriter
        }
        guard claimed else { return }
        if !startDetachedThread({ [self] in write() }) { queue.withLock { $0.hasWriter = false } }
    }

    private func drop(_ lines: UInt64) {
        dropCount.wrappingAdd(lines, ordering: .relaxed)
    }
}

// MARK: The writer's thread

extension LogSink {
    private func write() {
        var batch = Batch()
        while true {
            bell.wait()
            while takeBatch(&batch) {
                writeAll(&batch)
                if !queue.withLock({ $0.stopping }) { sleep(ms: Self.restMs) }
            }
            let stopped = queue.withLock { queue in
                queue.stopped = queue.stopping && queue.batch.lines.isEmpty
                return queue.stopped
            }
            if stopped { return }
        }
    }

    /// Exchanges the empty batch for the queue; false when there was nothing, and the writer is to sleep.
    private func takeBatch(_ batch: inout Batch) -> Bool {
        batch.lines.removeAll()
        // What one burst needed is not held for ever.
        if batch.lines.capacity > 256 << 10 { batch = Batch() }
        return queue.withLock { queue in
            if queue.batch.lines.isEmpty {
                queue.writing = 0
                queue.writerAwake = false
                return false
            }
            swap(&batch, &queue.batch)
            queue.writing = batch.lines.count
            return true
        }
    }

    private func writeAll(_ batch: inout Batch) {
        while !batch.lines.isEmpty {
            let written = batch.lines.withReadable { writeSome($0) }
            if written < 0 {
                // Nobody will ever read it: a closed pipe, a full disk.
                let lost = batch.lines.withReadable { countLines($0, from: 0) }
                drop(lost)
                batch.lines.removeAll()
                return
            }
            batch.lines.consume(written)
            queue.withLock { $0.writing = batch.lines.count }
        }
    }

    /// Bytes written, or -1 for an error that will not pass.
    private func writeSome(_ bytes: borrowing Span<UInt8>) -> Int {
        while true {
            let count = unsafe bytes.withUnsafeBufferPointer {
                unsafe Glibc.write(descriptor, $0.baseAddress, min($0.count, 64 << 10))
            }
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN:
                // Somebody made the descriptor non-blocking; it may be shared with them, so it stays so.
                var wait = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = unsafe poll(&wait, 1, 1000)
            default: return -1
            }
        }
    }
}

/// How many of the leading bytes are whole lines and fit in `room`.
private func wholeLines(_ lines: borrowing Span<UInt8>, within room: Int) -> Int {
    if lines.count <= room { return lines.count }
    var end = max(room, 0)
    while end > 0, lines[end - 1] != 0x0a { end -= 1 }
    return end
}

private func countLines(_ lines: borrowing Span<UInt8>, from start: Int) -> UInt64 {
    var count: UInt64 = 0
    for at in start..<lines.count where lines[at] == 0x0a { count += 1 }
    return count
}
