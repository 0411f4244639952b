import Compression
import Limits
import Observe
import Reactor
import Transport
import Wire

/// How many gzip streams a loop may have.
enum GzipBounds {
    /// At work at once, 134 KiB each: 17 MiB a loop, whatever clients do. A page of an IDE asks for about a hundred files
    /// together; and so many share 70 MB/s of one core, so that more would only be slower. Who comes then, or when
    /// memory is short, gets the answer as it is.
    static let atWork = 128
    /// Waiting for the next answer: 2 MiB a loop.
    static let atRest = 16
}

/// The answer's body as gzip: the container's pieces go through `gzip` into `compressed`, and what the client takes of
/// that goes out as payload would.
extension Exchange {
    /// So much is fed at once.
    private static let piece = 16 * 1024
    /// Less than this waits for more, as long as the container goes on.
    private static let worthSending = 8 * 1024
    /// Between two flushes. An answer that comes in drops is not held up, and one that pours is not cut into small
    /// blocks only because we read faster than the container writes.
    private static let flushEveryMs: UInt64 = 10

    /// Chooses how the answer goes out, and takes a gzip stream if it needs one.
    func takeCoding(_ head: ResponseHead, _ bytes: borrowing Span<UInt8>) -> Coding {
        guard let codingFacts else { return .identity }
        let coding = chooseCoding(head, bytes, worker.fields, request: codingFacts)
        guard coding == .gzip else { return coding }
        // HTTP/1.0 has no chunks, and no other end that a broken connection could not feign.
        guard minorVersion >= 1, worker.shared.memoryPressure < .noBodies, let stream = worker.gzips.take() else {
            return .identityVaries
        }
        gzip = stream
        answer.isCompressed = true
        return .gzip
    }

    /// Gives the gzip stream back, wherever it stands. What it has put out stays.
    func dropGzip() {
        guard let stream = gzip else { return }
        gzip = nil
        worker.gzips.give(stream)
    }

    /// Feeds payload while the client keeps up; how much was fed, or -1 when the client is lost.
    func compressPayload(_ upstream: UpstreamConnection, _ count: Int) -> Int {
        guard let gzip else { return 0 }
        var fed = 0
        while true {
            if compressed.count >= Self.worthSending, sendCompressed() == .failed { return -1 }
            if fed == count || client.isBlocked { return fed }
            let piece = min(count - fed, Self.piece)
            compressed.reserve(Self.piece, from: blocks)
            upstream.inbound.withReadable { gzip.compress($0.extracting(first: piece), into: &compressed) }
            upstream.inbound.consume(piece)
            answer.awaitsFlush = true
            fed += piece
        }
    }

    /// The container has nothing more for now: all that it said should reach the client. Whether the client is there.
    func flushCompressed() -> Bool {
        // Once it has drained, the container is read again, and pauses again.
        if client.isBlocked { return true }
        if answer.awaitsFlush, let gzip, let upstream {
            let dueMs = answer.flushedMs &+ Self.flushEveryMs
            if dueMs > worker.nowMs {
                loop.setDeadline(dueMs, for: upstream)
                return true
            }
            answer.flushedMs = worker.nowMs
            answer.awaitsFlush = false
            gzip.compress(Span(), into: &compressed, flush: .sync)
        }
        return sendCompressed() != .failed
    }

    /// Ends the gzip stream, and sends what is left of it. Once it is `.sent` the client has all; while it is `.blocked`
    /// this is to be called again.
    func endCompressed() -> WriteOutcome {
        if let gzip {
            gzip.compress(Span(), into: &compressed, flush: .finish)
            answer.awaitsFlush = false
            dropGzip()
        }
        if sendCompressed() == .failed { return .failed }
        return compressed.isEmpty ? .sent : .blocked
    }

    /// Lets out what came of an answer that breaks off. The end of the gzip stream is not made up.
    func endCompressedShort() {
        guard answer.awaitsFlush, let gzip else { return }
        answer.awaitsFlush = false
        gzip.compress(Span(), into: &compressed, flush: .sync)
    }

    /// Sends what came out as far as the client takes it; when it `.failed` the client was told to be lost.
    func sendCompressed() -> WriteOutcome {
        let count = compressed.count
        if count == 0 { return .sent }
        let outcome = answer.framing == .chunked ? sendChunk(&compressed, count) : client.send(&compressed, count)
        record.bytesOut &+= UInt64(count - compressed.count)
        if outcome == .failed { client.lost() } else { compressed.recycle(into: blocks) }
        return outcome
    }
}
