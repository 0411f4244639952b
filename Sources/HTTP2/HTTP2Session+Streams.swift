import CNGHTTP2

extension HTTP2Session {
    /// Gives the stream up (RST_STREAM). What was submitted for it and not yet collected is dropped.
    public func reset(_ slot: Int, _ code: HTTP2Error) {
        guard isServed(slot) else { return }
        unsafe _ = nghttp2_submit_rst_stream(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), slots[slot].id, code.rawValue)
    }

    /// Says that `count` bytes of the stream's `.data` left our memory, so that the client may send as many more: on
    /// the stream while it is open, and on the connection. What a stream still owes when its `.closed` is taken counts
    /// as consumed then.
    public func consumed(_ slot: Int, _ count: Int) {
        guard slots.indices.contains(slot), slots[slot].id != 0 else { return }
        let count = min(count, slots[slot].owed)
        guard count > 0 else { return }
        slots[slot].owed &-= count
        owed &-= count
        credit(count)
        guard !slots[slot].isClosed else { return }
        unsafe _ = nghttp2_session_consume_stream(session, slots[slot].id, count)
        widen(slot, count)
    }

    /// Opens the connection's window again by bytes that left our memory. nghttp2 waits until they are half of the whole
    /// window, which never comes while stalled streams hold more than that: then what the client has left decides.
    func credit(_ count: Int) {
        if count > 0 { unsafe _ = nghttp2_session_consume_connection(session, count) }
        let free = unsafe Int(nghttp2_session_get_effective_recv_data_length(session)) &- owed
        guard free > 0, unsafe free >= Int(nghttp2_session_get_local_window_size(session)) else { return }
        unsafe _ = nghttp2_submit_window_update(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), 0, Int32(clamping: free))
    }

    /// Widens the receive window of a stream whose container keeps up: the window that all begin with would hold an
    /// upload over a long link at a trickle. What all streams may gain leaves room on the connection for others.
    private func widen(_ slot: Int, _ count: Int) {
        slots[slot].consumed &+= count
        let window = settings.streamWindow &+ slots[slot].widened
        guard slots[slot].consumed >= window else { return }
        slots[slot].consumed = 0
        let gain = min(window, settings.wideningRoom &- widened)
        guard gain > 0, slots[slot].owed < window / 4 else { return }
        widened &+= gain
        slots[slot].widened &+= gain
        unsafe _ = nghttp2_session_set_local_window_size(
            session, UInt8(NGHTTP2_FLAG_NONE.rawValue), slots[slot].id, Int32(clamping: window &+ gain))
    }

    /// How soon the client wants this answer: 0 first, 7 last, and whether pieces of it are of use (RFC 9218 section
    /// 4).
    public func urgency(_ slot: Int) -> (urgency: UInt8, incremental: Bool) {
        guard slots.indices.contains(slot) else { return (3, false) }
        return (slots[slot].priority.urgency, slots[slot].priority.incremental)
    }

    /// Whether the last frame of the answer was collected; the client may still be sending its request.
    public func hasSentEnd(_ slot: Int) -> Bool {
        slots.indices.contains(slot) && slots[slot].isEnded
    }

    // MARK: - Slots

    /// Whether the caller knows the slot's stream and can still do something with it.
    func isServed(_ slot: Int) -> Bool { isOpen(slot) && slots[slot].isAnnounced }

    /// Whether the slot's stream is there.
    func isOpen(_ slot: Int) -> Bool {
        slots.indices.contains(slot) && slots[slot].id != 0 && !slots[slot].isClosed
    }

    /// A slot for a stream that just began.
    func takeSlot(_ id: Int32) -> Int {
        if let slot = freeSlots.popLast() {
            slots[slot].id = id
            return slot
        }
        slots.append(StreamSlot(id: id))
        return slots.count - 1
    }

    /// The end of a stream was told, or need not be.
    func free(_ slot: Int) {
        guard slots.indices.contains(slot), slots[slot].id != 0 else { return }
        owed &-= slots[slot].owed
        credit(slots[slot].owed)
        widened &-= slots[slot].widened
        slots[slot] = StreamSlot()
        freeSlots.append(slot)
    }

    /// Remembers what a PRIORITY_UPDATE says of a request that did not come yet (RFC 9218 section 7.1).
    func keepEarly(_ id: Int32, _ priority: HTTP2Priority) {
        if let place = earlyPriorities.firstIndex(where: { $0.id == id }) {
            earlyPriorities[place].priority = priority
        } else if earlyPriorities.count < 16 {
            earlyPriorities.append((id, priority))
        } else {
            earlyPriorities[earlyNext] = (id, priority)
            earlyNext = (earlyNext &+ 1) & 15
        }
    }

    /// What a PRIORITY_UPDATE said before the request came; it counts for more than the request's field.
    func takeEarly(_ id: Int32) -> HTTP2Priority? {
        earlyPriorities.first { $0.id == id }?.priority
    }
}
