import CNGHTTP2
import Wire

extension HTTP2Session {
    /// Submits an answer's head as HTTP/1.1 writes it, from `HTTP/1.1` through the empty line. Interim ones (1xx but
    /// 101) may come before the final one. `ends`: no body follows; otherwise `setAvailable` says when there is some.
    /// False when it is malformed or the stream takes no head any more; nothing is sent then.
    public func submitHead(_ slot: Int, _ head: borrowing Span<UInt8>, ends: Bool) -> Bool {
        guard isServed(slot), !slots[slot].isAnswered else { return false }
        let id = slots[slot].id
        let session = unsafe session
        var isInterim = false
        let isSubmitted = unsafe answer.withHead(head) { status, pairs, count in
            isInterim = status < 200 && status != 101
            if isInterim {
                // An error like those of nghttp2: an interim head ends no answer.
                guard !ends else { return NGHTTP2_ERR_INVALID_ARGUMENT.rawValue }
                return unsafe nghttp2_submit_headers(
                    session, UInt8(NGHTTP2_FLAG_NONE.rawValue), id, nil, pairs, count, nil)
            }
            if ends { return unsafe nghttp2_submit_response(session, id, pairs, count, nil) }
            var provider = unsafe nghttp2_data_provider(
                source: nghttp2_data_source(fd: Int32(truncatingIfNeeded: slot)), read_callback: SessionCallbacks.read)
            return unsafe nghttp2_submit_response(session, id, pairs, count, &provider)
        }
        if !isSubmitted || isInterim { return isSubmitted }
        slots[slot].isAnswered = true
        slots[slot].hasBody = !ends
        return true
    }

    /// Submits fields, `Name: value` and CRLF each, that end the answer behind all the body that was made available.
    /// False when one is malformed or the answer has ended.
    public func submitTrailers(_ slot: Int, _ lines: borrowing Span<UInt8>) -> Bool {
        guard isServed(slot), slots[slot].hasBody, slots[slot].trailers == nil else { return false }
        var isEmpty = true
        let isSound = unsafe answer.withTrailers(lines) { _, count in
            isEmpty = count == 0
            return 0
        }
        guard isSound else { return false }
        if !isEmpty { slots[slot].trailers = lines.copied() }
        slots[slot].endsThere = true
        resume(slot)
        return true
    }

    /// How many bytes of the stream's body the client has room for, by its windows.
    public func sendWindow(_ slot: Int) -> Int {
        guard isServed(slot) else { return 0 }
        let own = unsafe nghttp2_session_get_stream_remote_window_size(session, slots[slot].id)
        return unsafe Int(max(0, min(own, nghttp2_session_get_remote_window_size(session))))
    }

    /// Says that `count` bytes of the answer's body are there in all, not counting those in pieces already collected;
    /// `ends`: they are the last.
    public func setAvailable(_ slot: Int, _ count: Int, ends: Bool) {
        guard isServed(slot), slots[slot].hasBody else { return }
        slots[slot].available = max(count, 0)
        if ends { slots[slot].endsThere = true }
        if count > 0 || slots[slot].endsThere { resume(slot) }
    }

    private func resume(_ slot: Int) {
        // An error says that it did not wait for us.
        unsafe _ = nghttp2_session_resume_data(session, slots[slot].id)
    }

    /// Submits the trailers of bodies that were taken.
    func submitDueTrailers() {
        while let slot = trailersDue.popLast() {
            guard isServed(slot), let lines = slots[slot].trailers else { continue }
            slots[slot].trailers = nil
            let id = slots[slot].id
            let session = unsafe session
            unsafe _ = answer.withTrailers(lines.span) { pairs, count in
                unsafe nghttp2_submit_trailer(session, id, pairs, count)
            }
        }
    }
}
