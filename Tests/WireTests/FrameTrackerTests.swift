import Testing
import Wire

@Suite("following WebSocket frames")
struct FrameTrackerTests {
    /// A frame as it is written, its length in the shortest form or in a given one.
    private func frame(_ opcode: UInt8, _ count: Int, masked: Bool = false, form: Int = 0, fin: Bool = true) -> [UInt8]
    {
        var bytes: [UInt8] = [opcode | (fin ? 0x80 : 0)]
        let mask: UInt8 = masked ? 0x80 : 0
        switch form != 0 ? form : count < 126 ? 1 : count < 65536 ? 2 : 8 {
        case 1: bytes.append(mask | UInt8(count))
        case 2: bytes += [mask | 126, UInt8(count >> 8), UInt8(count & 255)]
        default:
            bytes.append(mask | 127)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: count >> shift))
            }
        }
        if masked { bytes += [1, 2, 3, 4] }
        // Payload that looks like close frames.
        return bytes + [UInt8](repeating: 0x88, count: count)
    }

    @Test(
        "boundaries are where frames end, however the bytes are split",
        arguments: [
            [(1, 0)], [(2, 1)], [(1, 125), (9, 0)], [(2, 126)], [(2, 300), (0, 3), (10, 125)], [(2, 70000), (1, 1)],
        ])
    func boundaries(_ frames: [(Int, Int)]) {
        for masked in [false, true] {
            var bytes: [UInt8] = []
            var ends: Set<Int> = [0]
            for (opcode, count) in frames {
                bytes += frame(UInt8(opcode), count, masked: masked)
                ends.insert(bytes.count)
            }
            var byByte = FrameTracker()
            for (at, byte) in bytes.enumerated() {
                guard byByte.isAtBoundary == ends.contains(at) else {
                    Issue.record("at \(at)")
                    return
                }
                let one = [byte]
                byByte.advance(one.span)
            }
            #expect(byByte.isAtBoundary)
            #expect(!byByte.sawClose)
            for split in Array(0...min(bytes.count, 400)) + [bytes.count - 1, bytes.count] where split >= 0 {
                var tracker = FrameTracker()
                tracker.advance(bytes.span.extracting(0..<split))
                let found = tracker.boundary(in: bytes.span.extracting(split..<bytes.count))
                let expected = ends.filter { $0 >= split }.min().map { $0 - split }
                #expect(found == expected)
                #expect(tracker.isAtBoundary == ends.contains(split))
                tracker.advance(bytes.span.extracting(split..<bytes.count))
                #expect(tracker.isAtBoundary)
            }
        }
    }

    @Test("no boundary within")
    func none() {
        var tracker = FrameTracker()
        let bytes = frame(2, 100)
        tracker.advance(bytes.span.extracting(0..<50))
        let found = tracker.boundary(in: bytes.span.extracting(50..<101))
        #expect(found == nil)
        let empty = tracker.boundary(in: bytes.span.extracting(0..<0))
        #expect(empty == nil)
    }

    @Test("long forms of short lengths", arguments: [0, 1, 125])
    func longForms(_ count: Int) {
        for form in [2, 8] {
            var tracker = FrameTracker()
            let bytes = frame(2, count, form: form)
            tracker.advance(bytes.span)
            #expect(tracker.isAtBoundary)
        }
    }

    @Test("a close frame is noticed when it begins, once")
    func close() {
        var tracker = FrameTracker()
        let text = frame(1, 5)
        tracker.advance(text.span)
        #expect(!tracker.sawClose)
        let close = frame(8, 2)
        tracker.advance(close.span.extracting(0..<1))
        #expect(tracker.sawClose)
        #expect(!tracker.isAtBoundary)
        tracker.advance(close.span.extracting(1..<close.count))
        #expect(tracker.isAtBoundary)
    }

    @Test("a length that no frame may have is only skipped")
    func greatest() {
        var tracker = FrameTracker()
        let bytes: [UInt8] = [0x82, 127] + [UInt8](repeating: 0xff, count: 8) + [1, 2, 3]
        tracker.advance(bytes.span)
        #expect(!tracker.isAtBoundary)
        let found = tracker.boundary(in: bytes.span)
        #expect(found == nil)
    }

    @Test(
        "the gateway's own close frame",
        arguments: [
            (UInt16(1008), "bye" as StaticString, [0x88, 5, 3, 0xf0, 0x62, 0x79, 0x65] as [UInt8]),
            (1012, "", [0x88, 2, 3, 0xf4]),
        ])
    func ownClose(_ code: UInt16, _ reason: StaticString, _ expected: [UInt8]) {
        var output = ByteBuffer()
        WebSocketClose.append(code: code, reason: reason, to: &output)
        let bytes = output.withReadable { span in (0..<span.count).map { span[$0] } }
        #expect(bytes == expected)
        var tracker = FrameTracker()
        tracker.advance(bytes.span)
        #expect(tracker.sawClose && tracker.isAtBoundary)
    }

    @Test(
        "a client's answer to it",
        arguments: [
            ([0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xf4 ^ 2], true),
            ([0x88, 0x84, 1, 2, 3, 4, 0x03 ^ 1, 0xf4 ^ 2, 0x68, 0x69], true),
            ([0x81, 0x80, 1, 2, 3, 4, 0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4], true),
            ([0x88, 0x82, 1, 2, 3, 4, 0x03, 0xf4], false),
            ([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], false),
            ([0x88, 0x83, 0, 0, 0, 0, 0x03, 0xf4], false),
            ([0x88, 0x02, 0, 0, 0, 0, 0x03, 0xf4], false),
            ([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4, 0], false),
            ([0x88, 0x80, 0, 0, 0, 0], false),
            ([0x88], false),
            ([], false),
        ] as [([UInt8], Bool)])
    func answerToOurClose(_ bytes: [UInt8], _ expected: Bool) {
        let alone = WebSocketClose.isAnswer(bytes.span, to: 1012)
        #expect(alone == expected)
        let behindOthers = [UInt8](repeating: 0x88, count: 300) + bytes
        let behind = WebSocketClose.isAnswer(behindOthers.span, to: 1012)
        #expect(behind == expected)
    }

    @Test("an answer with the longest reason")
    func longAnswer() {
        var bytes: [UInt8] = [0x88, 0x80 | 125, 0, 0, 0, 0, 0x03, 0xf4] + [UInt8](repeating: 1, count: 123)
        let isAnswer = WebSocketClose.isAnswer(bytes.span, to: 1012)
        bytes.append(1)
        let isStillOne = WebSocketClose.isAnswer(bytes.span, to: 1012)
        #expect(isAnswer && !isStillOne)
    }
}
