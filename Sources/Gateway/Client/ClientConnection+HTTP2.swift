import HTTP2
import Limits
import Observe
import Reactor
import Transport
import Wire

/// What a connection does for HTTP/2: it gathers frames into full TLS records and takes bulk from where it lies.
extension ClientConnection {
    /// The plaintext of a full TLS record (RFC 8446 section 5.1).
    private static let record = 16 * 1024

    /// ALPN chose HTTP/2.
    func beginHTTP2() {
        guard let http2 = HTTP2Connection(self) else { return close(.memory) }
        self.http2 = http2
        exchange.detach()
        exchange = nil
        stream.limitUnsent(worker.limits.http2.queued)
    }

    /// The kernel reported something. A client that is gone altogether takes its streams with it.
    func readyHTTP2(_ events: Readiness) {
        advance()
        if phase == .open, !events.isDisjoint(with: [.peerClosed, .error, .hangup]),
            stream.hasNothingToRead || http2?.isShutOut == true
        {
            lost()
        }
    }

    /// Takes bytes that leave with `pushGathered`; `false` when the connection is broken.
    func gather(_ bytes: borrowing Span<UInt8>) -> Bool {
        var at = 0
        while at < bytes.count {
            staged.reserve(Self.record, from: blocks)
            let fits = min(bytes.count - at, Self.record - staged.count)
            staged.append(bytes.extracting(at..<at + fits))
            at += fits
            if staged.count == Self.record && !enqueueGathered() { return false }
        }
        return true
    }

    /// Takes a frame's header and behind it `count` bytes from the front of `buffer`, which are consumed: a large frame is
    /// encrypted from where it lies.
    func enqueueFrame(_ header: HTTP2FrameHeader, _ buffer: inout ByteBuffer, _ count: Int) -> Bool {
        if count >= Self.record / 4 {
            guard enqueueGathered() else { return false }
            if buffer.prepend(header.bytes.span) {
                let size = HTTP2FrameHeader.count + count
                let taken = buffer.withReadable { stream.enqueue($0.extracting(first: size), blocks) }
                buffer.consume(size)
                return taken
            }
        }
        guard gather(header.bytes.span), buffer.withReadable({ gather($0.extracting(first: count)) }) else {
            return false
        }
        buffer.consume(count)
        return true
    }

    private func enqueueGathered() -> Bool {
        if staged.isEmpty { return true }
        let taken = staged.withReadable { stream.enqueue($0, blocks) }
        staged.removeAll()
        return taken
    }

    /// Sends what was gathered and enqueued.
    func pushGathered() -> WriteOutcome {
        guard enqueueGathered() else { return .failed }
        staged.recycle(into: blocks)
        return stream.flush(blocks)
    }
}
