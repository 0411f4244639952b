import Wire

/// Reads the frame headers of what a client sends before nghttp2 sees them: counts the frames that cost us more than
/// they cost the client, stops before a request too many, and names the violations that nghttp2 1.52 passes over.
///
/// It knows nothing but the client's own frames and which streams we closed, so that its verdicts do not depend on how
/// the bytes were split.
struct FrameGuard {
    enum Verdict: Equatable {
        /// All may be fed.
        case pass
        /// Another request would be one too many for this call.
        case yield
        case abuse
        /// The connection must end with this code.
        case violation(HTTP2Error)
    }

    /// What to do with bytes that were looked at.
    struct Scan: Equatable {
        /// The frame header that was held back is complete: feed it first.
        var feedsHeld = false
        /// What to feed then.
        var feed = 0..<0
        /// How many need not be given again: what is fed, and the beginning of a frame header, which is held back.
        var taken = 0
        var verdict = Verdict.pass
    }

    private(set) var abuse: AbuseCount
    private var streams: ClientStreams
    private let newStreams: Int

    /// Bytes of the client's preface that are still to come.
    private var prefaceLeft = 24
    /// Length, type and flags of the frame header that is arriving, then its stream.
    private var head: UInt64 = 0
    private var id: UInt32 = 0
    private var headCount = 0
    /// The last one that came in pieces, as it came.
    private var held: (head: UInt64, id: UInt32) = (0, 0)
    private var payloadLeft = 0
    private var isInBlock = false
    private var blockContinues = false
    private var firstFrameDone = false

    private var streamsOpened = 0
    private var dataFramesSent = 0
    private var windowUpdates = 0

    init(_ settings: HTTP2Settings) {
        abuse = AbuseCount(count: settings.abuse.count, perMs: settings.abuse.perMs)
        streams = ClientStreams(settings.streams)
        newStreams = settings.newStreams
    }

    /// Whether the client's preface and its first frame, which must be SETTINGS, have come.
    var hasStarted: Bool { firstFrameDone }

    /// Whether a header block began and did not end.
    var isInsideHead: Bool { blockContinues || isInBlock && payloadLeft > 0 }

    /// Looks at `bytes`, which follow those that it took before.
    ///
    /// nghttp2 1.52 gets frame headers whole: it counts a CONTINUATION again for every piece of its header.
    mutating func scan(_ bytes: borrowing Span<UInt8>, nowMs: UInt64) -> Scan {
        abuse.pass(to: nowMs)
        if abuse.isOver { return Scan(verdict: .abuse) }
        let count = bytes.count
        var begun = 0
        var held = false
        var feedStart = 0
        var at = min(prefaceLeft, count)
        prefaceLeft &-= at
        while at < count {
            if payloadLeft > 0 {
                let step = min(payloadLeft, count &- at)
                payloadLeft &-= step
                at &+= step
                if payloadLeft == 0 { firstFrameDone = true }
                continue
            }
            let start = at
            let isHeld = headCount > 0
            guard readHeader(bytes, &at) else { return Scan(feedsHeld: held, feed: feedStart..<start, taken: count) }
            headCount = 0
            if isNewRequest {
                // Never one that was held back: that is the first of its call.
                if begun == newStreams {
                    return Scan(feedsHeld: held, feed: feedStart..<start, taken: start, verdict: .yield)
                }
                begun &+= 1
            }
            let verdict = judge()
            if verdict != .pass {
                return Scan(feedsHeld: held, feed: feedStart..<start, taken: start, verdict: verdict)
            }
            if isHeld {
                held = true
                feedStart = at
            }
            payloadLeft = length
            if payloadLeft == 0 { firstFrameDone = true }
        }
        return Scan(feedsHeld: held, feed: feedStart..<count, taken: count)
    }

    /// Appends the frame header that was held back.
    func writeHeld(into output: inout ByteBuffer) {
        for place in 0..<5 { output.append(UInt8(truncatingIfNeeded: held.head &>> UInt64(32 &- 8 &* place))) }
        for place in 0..<4 { output.append(UInt8(truncatingIfNeeded: held.id &>> UInt32(24 &- 8 &* place))) }
    }

    /// Counts a RST_STREAM of ours: clients can provoke as many as they can send (CVE-2025-8671).
    mutating func sentReset() { abuse.add() }

    /// Every DATA frame earns the client some WINDOW_UPDATEs.
    mutating func sentData() { dataFramesSent &+= 1 }

    /// A stream was closed by either side. The client may not know yet.
    mutating func closed(_ id: UInt32) { streams.closedByUs(id) }

    // MARK: - One frame

    private var length: Int { Int(truncatingIfNeeded: head &>> 16) }
    private var type: UInt8 { UInt8(truncatingIfNeeded: head &>> 8) }
    private var endsStream: Bool { head & 0x1 != 0 }
    private var endsHeaders: Bool { head & 0x4 != 0 }
    private var isAck: Bool { head & 0x1 != 0 }
    private var isNewRequest: Bool { type == 1 && id & 1 == 1 && id > streams.last }

    /// Whether the header is complete.
    private mutating func readHeader(_ bytes: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        let isHeld = headCount > 0
        if !isHeld {
            head = 0
            id = 0
        }
        while headCount < 9, at < bytes.count {
            if headCount < 5 {
                head = head &<< 8 | UInt64(bytes[at])
            } else {
                id = id &<< 8 | UInt32(bytes[at])
            }
            headCount &+= 1
            at &+= 1
        }
        guard headCount == 9 else { return false }
        if isHeld { held = (head, id) }
        // The reserved bit is ignored (RFC 9113 section 4.1).
        id &= 0x7fff_ffff
        return true
    }

    private mutating func judge() -> Verdict {
        isInBlock = type == 1 || type == 9
        switch type {
        case 0:  // DATA
            if length == 0, !endsStream { abuse.add() }
            if let defect = judgeStream(strange: .streamClosed) { return defect }
        case 1:  // HEADERS
            if length == 0 { abuse.add() }
            blockContinues = !endsHeaders
            if isNewRequest {
                streamsOpened &+= 1
                streams.open(id)
                if endsStream { streams.ended(id) }
            } else if let defect = judgeStream(strange: .protocolError) {
                return defect
            }
        case 3:  // RST_STREAM
            abuse.add()
            streams.ended(id)
        case 4:  // SETTINGS
            if !isAck { abuse.add() }
        case 8:  // WINDOW_UPDATE
            windowUpdates &+= 1
            if windowUpdates > 5 &+ 2 &* (streamsOpened &+ 10 &* dataFramesSent) { abuse.add() }
        case 9:  // CONTINUATION
            if length == 0 { abuse.add() }
            if endsHeaders { blockContinues = false }
        case 5: break  // PUSH_PROMISE: nghttp2 ends the connection.
        default: abuse.add()  // PRIORITY, PING, GOAWAY, PRIORITY_UPDATE, what nobody knows
        }
        return abuse.isOver ? .abuse : .pass
    }

    /// What is wrong with a DATA or HEADERS frame on a stream that is not new. What concerns no stream that a client
    /// can have opened is left to nghttp2. `strange`: the code when the client never opened the stream, or long ago.
    private mutating func judgeStream(strange: HTTP2Error) -> Verdict? {
        guard id & 1 == 1, id <= streams.last else { return nil }
        switch streams.standing(id) {
        case .open: break
        case .closedByUs, .forgotten:
            // In flight when our RST_STREAM left. Its DATA still counts for the connection's window; nghttp2 sees to it.
            abuse.add()
        case .ended: return .violation(.streamClosed)
        case .never: return .violation(strange)
        }
        if endsStream { streams.ended(id) }
        return nil
    }
}
