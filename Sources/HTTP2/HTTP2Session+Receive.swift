import CNGHTTP2
import Wire

extension HTTP2Session {
    /// Takes bytes of the client's, at `nowMs` of a clock that only goes forward, and records what they say.
    ///
    /// Take all events before the next call: that forgets the heads, and `.data` counts from the first of `bytes`.
    public func receive(_ bytes: borrowing Span<UInt8>, nowMs: UInt64) -> Received {
        if isTerminated || isBroken { return .failed }
        if eventsTaken == events.count { forgetHeads() }
        let scan = frameGuard.scan(bytes, nowMs: nowMs)
        if scan.feedsHeld {
            var header = ByteBuffer(capacity: HTTP2FrameHeader.count)
            frameGuard.writeHeld(into: &header)
            header.withReadable { feed($0, from: 0) }
        }
        if !scan.feed.isEmpty, !isTerminated { feed(bytes.extracting(scan.feed), from: scan.feed.lowerBound) }
        if isTerminated { return .failed }
        switch scan.verdict {
        case .pass, .yield: return .taken(scan.taken)
        case .abuse:
            isTerminated = true
            submitGoAway(.enhanceYourCalm)
            return .abuse
        case .violation(let code):
            terminate(code)
            return .failed
        }
    }

    /// The next thing that the client did, nil when all was told.
    public func takeEvent() -> HTTP2Event? {
        guard eventsTaken < events.count else {
            if !events.isEmpty {
                events.removeAll(keepingCapacity: events.count <= 256)
                eventsTaken = 0
            }
            return nil
        }
        let event = events[eventsTaken]
        eventsTaken &+= 1
        if case .closed(let slot, _) = event { free(slot) }
        return event
    }

    /// Lends the HTTP/1.1 heads of the requests that the last call of `receive` completed; see `.request`.
    public func withHeads<R: ~Copyable, E: Error>(
        _ body: (borrowing Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        try heads.withReadable(body)
    }

    private func forgetHeads() {
        if heads.capacity > 4096 { heads = ByteBuffer() } else { heads.removeAll() }
    }

    /// `position`: where `bytes` begin in the caller's.
    private func feed(_ bytes: borrowing Span<UInt8>, from position: Int) {
        let queued = unsafe nghttp2_session_get_outbound_queue_size(session)
        let result = unsafe bytes.withUnsafeBufferPointer { buffer in
            inputStart = UInt(bitPattern: buffer.baseAddress)
            inputCount = buffer.count
            inputPosition = position
            return unsafe nghttp2_session_mem_recv(session, buffer.baseAddress, buffer.count)
        }
        inputStart = 0
        inputCount = 0
        // Also when nothing was discarded: what came is what the client has less.
        credit(discarded)
        discarded = 0
        if hasFarTooManyFields {
            terminate(.enhanceYourCalm)
        } else if result < 0 {
            if result == Int(NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue) { failedInHead = true }
            terminate(Self.code(of: result))
        }
        while let (id, code) = resetsDue.popLast() {
            unsafe _ = nghttp2_submit_rst_stream(
                session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, code.rawValue)
        }
        // Whether nghttp2 gave the connection up shows in the GOAWAY that it queues, and nowhere else.
        if unsafe !isTerminated && nghttp2_session_get_outbound_queue_size(session) > queued {
            collectFrames()
            // A client that asks for answers and reads none: the connection would keep them all.
            if framesWaiting > Self.framesWaitingLimit, !isTerminated { terminate(.enhanceYourCalm) }
        }
    }

    /// As many as nghttp2 would keep itself.
    private static var framesWaitingLimit: Int { 1000 }

    /// What to tell the client when nghttp2 cannot go on.
    private static func code(of result: Int) -> HTTP2Error {
        switch Int32(clamping: result) {
        case NGHTTP2_ERR_BAD_CLIENT_MAGIC.rawValue: .protocolError
        case NGHTTP2_ERR_FLOODED.rawValue, NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue: .enhanceYourCalm
        default: .internalError
        }
    }
}
