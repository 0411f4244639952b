import CNGHTTP2
import Wire

/// What the callbacks write down, while nghttp2 is at work.
extension HTTP2Session {
    func noteRequestBegins(_ id: Int32) -> Int {
        let slot = takeSlot(id)
        block.begin(.request, slot: slot)
        return slot
    }

    func noteTrailersBegin(_ slot: Int) { block.begin(.trailers, slot: slot) }

    /// False when nghttp2 should stop at once.
    func noteField(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) -> Bool {
        if block.add(name, value) { return true }
        hasFarTooManyFields = true
        return false
    }

    func noteInvalidField() -> Bool {
        if block.addInvalid() { return true }
        hasFarTooManyFields = true
        return false
    }

    func noteHeadEnds(_ slot: Int, _ id: Int32, _ isLast: Bool) {
        guard block.slot == slot, isOpen(slot) else { return }
        if block.kind == .trailers {
            if block.refusal != nil {
                resetsDue.append((id, .protocolError))
            } else if block.isOverflowing {
                largeTrailers &+= 1
                resetsDue.append((id, .enhanceYourCalm))
            } else if isLast {
                noteEnd(slot)
            }
            block.end()
            return
        }
        slots[slot].priority = takeEarly(id) ?? block.priority
        slots[slot].isAnnounced = true
        switch block.finish(ends: isLast, into: &heads) {
        case .request(let head, let isTunnel):
            events.append(.request(slot: slot, head: head, ends: isLast, isTunnel: isTunnel))
        case .refused(let refusal, let head):
            slots[slot].discardsBody = true
            events.append(.refused(slot: slot, refusal, head: head, ends: isLast))
        }
        block.end()
    }

    func noteEnd(_ slot: Int) {
        guard isServed(slot) else { return }
        events.append(.ended(slot: slot))
    }

    func noteData(_ slot: Int?, _ address: UInt, _ count: Int) {
        // DATA always lies in the input; a position that does not is none of ours to hand out.
        let place = Int(bitPattern: address &- inputStart)
        guard let slot, isServed(slot), !slots[slot].discardsBody,
            place >= 0, place <= inputCount, count <= inputCount &- place
        else {
            discarded &+= count
            return
        }
        slots[slot].owed &+= count
        owed &+= count
        let start = inputPosition &+ place
        events.append(.data(slot: slot, start..<start &+ count))
    }

    func noteClosed(_ slot: Int?, _ id: Int32, _ code: UInt32) {
        frameGuard.closed(UInt32(bitPattern: id))
        guard let slot, isOpen(slot) else { return }
        slots[slot].isClosed = true
        if slots[slot].isAnnounced {
            events.append(.closed(slot: slot, code: code))
        } else {
            // Refused by nghttp2 before its head was complete: the caller never heard of it.
            if block.slot == slot { block.end() }
            slots[slot] = StreamSlot()
            freeSlots.append(slot)
        }
    }

    func noteWindow(_ slot: Int) {
        if slot >= 0, !isServed(slot) { return }
        if eventsTaken < events.count, events[events.count - 1] == .windowOpened(slot: slot) { return }
        events.append(.windowOpened(slot: slot))
    }

    func noteGoAway() { events.append(.goAway) }

    func notePriority(_ slot: Int?, _ id: Int32, _ priority: HTTP2Priority) {
        if let slot, isOpen(slot) { slots[slot].priority = priority } else { keepEarly(id, priority) }
    }

    /// A frame with END_STREAM was collected.
    func noteEndSent(_ slot: Int) {
        if isOpen(slot) { slots[slot].isEnded = true }
    }

    func noteResetSent(_ code: UInt32) {
        frameGuard.sentReset()
        if code == HTTP2Error.refusedStream.rawValue { refusedStreams &+= 1 }
    }

    func noteGoAwaySent(_ code: UInt32) {
        if code != 0 { isTerminated = true }
        if code == HTTP2Error.compressionError.rawValue { failedInHead = true }
    }

    /// How much of a body goes into a frame that holds `asked` bytes, with nghttp2's flags; or what nghttp2 is to do
    /// instead.
    func lookUpBody(_ slot: Int, _ asked: Int) -> (count: Int, flags: UInt32) {
        let noFlags: UInt32 = 0
        guard slots.indices.contains(slot) else { return (Int(NGHTTP2_ERR_DEFERRED.rawValue), noFlags) }
        let isDry = slots[slot].available == 0
        if isDry, !slots[slot].endsThere { return (Int(NGHTTP2_ERR_DEFERRED.rawValue), noFlags) }
        if !isDry, collected >= collectLimit { return (Int(NGHTTP2_ERR_PAUSE.rawValue), noFlags) }
        let count = min(slots[slot].available, asked)
        slots[slot].available &-= count
        var flags = count > 0 ? NGHTTP2_DATA_FLAG_NO_COPY.rawValue : 0
        if slots[slot].available == 0, slots[slot].endsThere {
            slots[slot].hasBody = false
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if slots[slot].trailers != nil {
                flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                trailersDue.append(slot)
            }
        }
        return (count, flags)
    }

    func noteDataSent(_ slot: Int, _ header: HTTP2FrameHeader, _ count: Int, _ ends: Bool) {
        collected &+= count
        frameGuard.sentData()
        pieces.append(.data(slot: slot, header: header, count: count, ends: ends))
    }
}
