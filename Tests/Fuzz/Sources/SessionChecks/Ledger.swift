import HTTP2
import Wire

/// What a session told and promised, slot by slot, to hold it to its word.
struct Ledger {
    private struct Entry {
        var ended = false
        var answerEnded = false
        var available = 0
    }
    private var open: [Int: Entry] = [:]

    func isOpen(_ slot: Int) -> Bool { open[slot] != nil }

    mutating func available(_ slot: Int, _ count: Int) { open[slot]?.available = count }

    mutating func ends(_ slot: Int) { precondition(open[slot] != nil) }

    /// Takes all events after `count` bytes were given.
    mutating func drain(_ session: HTTP2Session, _ count: Int) {
        while let event = session.takeEvent() {
            switch event {
            case .request(let slot, let head, let ends, let isTunnel):
                begin(slot, ends)
                let bytes = session.withHeads { $0.extracting(head).copied() }
                judge(bytes, ends, isTunnel)
            case .refused(let slot, _, _, let ends): begin(slot, ends)
            case .data(let slot, let range):
                precondition(open[slot]?.ended == false && !range.isEmpty && range.upperBound <= count)
            case .ended(let slot):
                precondition(open[slot]?.ended == false)
                open[slot]?.ended = true
            case .closed(let slot, _): precondition(open.removeValue(forKey: slot) != nil)
            case .windowOpened(let slot): precondition(slot == -1 || open[slot] != nil)
            case .goAway: break
            }
        }
        precondition(session.openStreams <= 6 && open.count <= session.openStreams)
    }

    private mutating func begin(_ slot: Int, _ ends: Bool) {
        precondition(open[slot] == nil && slot >= 0 && slot < 16)
        open[slot] = Entry(ended: ends)
    }

    /// A head that was made of fields must be one head, and none of its lines may say what another does.
    private func judge(_ bytes: [UInt8], _ ends: Bool, _ isTunnel: Bool) {
        precondition(bytes.count <= 700 + 100)
        precondition(bytes.suffix(4) == [13, 10, 13, 10])
        for at in bytes.indices {
            precondition(bytes[at] != 0)
            if bytes[at] == 13 { precondition(bytes[at + 1] == 10) }
            if bytes[at] == 10 { precondition(at > 0 && bytes[at - 1] == 13) }
            if at + 4 < bytes.count { precondition(Array(bytes[at..<at + 4]) != [13, 10, 13, 10]) }
        }
        var scan = HeadScan()
        let fields = HeadFields(capacity: 100)
        switch HTTP1.parseRequestHead(bytes.span, scan: &scan, into: fields, limits: HeadLimits(bytes: 800)) {
        case .complete(let head):
            precondition(head.byteCount == bytes.count)
            precondition(!isTunnel || head.isWebSocketUpgrade || fields.contains(.contentLength))
            if ends { precondition(head.framing != .chunked) } else { precondition(isTunnel || head.framing != .none) }
        case .partial: preconditionFailure("a head that does not end")
        case .malformed(let defect):
            // What HTTP/1.1 refuses in a well-formed head too.
            let known: [StaticString] = [
                "malformed Content-Length", "TRACE is not served", "a WebSocket handshake with a body",
            ]
            precondition(known.contains { "\($0)" == "\(defect.reason)" }, "\(defect.reason)")
        }
    }

    /// Takes all pieces and checks that they are whole frames, with no more DATA than was promised.
    mutating func take(_ session: HTTP2Session) {
        while let piece = session.takePiece() {
            switch piece {
            case .frames(let range):
                let bytes = session.withOutput { $0.extracting(range).copied() }
                var at = 0
                while at < bytes.count {
                    precondition(at + 9 <= bytes.count)
                    at += 9 + (Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2]))
                }
                precondition(at == bytes.count)
            case .data(let slot, let header, let count, let ends):
                guard var entry = open[slot] else { preconditionFailure("DATA of no stream") }
                precondition(count > 0 && count <= entry.available && !entry.answerEnded)
                entry.available -= count
                entry.answerEnded = ends
                open[slot] = entry
                let bytes = header.bytes
                precondition(Int(bytes[0]) << 16 | Int(bytes[1]) << 8 | Int(bytes[2]) == count)
                precondition(bytes[3] == 0 && bytes[4] & 1 == (ends ? 1 : 0) && count <= 16_375)
            }
        }
    }
}
