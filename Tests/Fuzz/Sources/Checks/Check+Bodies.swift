import Wire

extension Check {
    static func chunked(_ bytes: [UInt8]) {
        let whole = decode(bytes, [bytes.count])
        let split = bytes.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xffff } % (bytes.count + 1)
        precondition(decode(bytes, Array(0...bytes.count)) == whole)
        precondition(decode(bytes, [split, bytes.count]) == whole)
        if whole.hasPrefix("done") {
            // A second reading, by lines.
            var at = 0
            var payload: [UInt8] = []
            while true {
                guard let end = (at..<bytes.count - 1).first(where: { bytes[$0] == 13 && bytes[$0 + 1] == 10 }) else {
                    preconditionFailure("no line")
                }
                let digits = bytes[at..<end].prefix { $0 != 0x3b && $0 != 0x20 && $0 != 9 }
                guard let size = Int(String(decoding: digits, as: UTF8.self), radix: 16) else {
                    preconditionFailure("no size")
                }
                at = end + 2
                if size == 0 { break }
                payload += bytes[at..<at + size]
                precondition(bytes[at + size] == 13 && bytes[at + size + 1] == 10)
                at += size + 2
            }
            precondition(whole == "done \(at) \(payload)")
        }
    }

    private static func decode(_ bytes: [UInt8], _ schedule: [Int]) -> String {
        var decoder = ChunkedDecoder(extensionBytes: 20, extensionsBytes: 50)
        var at = 0
        var payload: [UInt8] = []
        for count in schedule {
            let span = bytes.span.extracting(0..<count)
            var more = false
            while !more {
                switch decoder.next(span, from: at) {
                case .data(let range):
                    precondition(range.lowerBound >= at && range.upperBound <= count && !range.isEmpty)
                    payload += bytes[range]
                    at = range.upperBound
                case .needMore(let consumed):
                    precondition(consumed == count)
                    at = consumed
                    more = true
                case .lastChunk(let consumed):
                    precondition(consumed <= count)
                    return "done \(consumed) \(payload)"
                case .malformed: return "malformed"
                }
            }
        }
        return "more \(payload)"
    }

    static func frames(_ bytes: [UInt8]) {
        var whole = FrameTracker()
        whole.advance(bytes.span)
        var byByte = FrameTracker()
        var boundaries: [Int] = byByte.isAtBoundary ? [0] : []
        for (at, byte) in bytes.enumerated() {
            let one = [byte]
            byByte.advance(one.span)
            if byByte.isAtBoundary { boundaries.append(at + 1) }
        }
        precondition(whole.isAtBoundary == byByte.isAtBoundary && whole.sawClose == byByte.sawClose)
        for split in [0, bytes.count / 3, bytes.count / 2, bytes.count] {
            var tracker = FrameTracker()
            tracker.advance(bytes.span.extracting(0..<split))
            let found = tracker.boundary(in: bytes.span.extracting(split..<bytes.count))
            precondition(found == boundaries.first { $0 >= split }.map { $0 - split })
            tracker.advance(bytes.span.extracting(split..<bytes.count))
            precondition(tracker.isAtBoundary == whole.isAtBoundary && tracker.sawClose == whole.sawClose)
        }
    }
}
