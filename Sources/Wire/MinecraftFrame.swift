/// Minecraft's variable-length integers and frames, before any compression or cipher.
enum MinecraftFrame {
    /// What came of reading an integer.
    enum Number: Equatable {
        case value(Int32)
        case partial
        case malformed
    }

    /// Where a frame lies; its last bytes may not have come yet.
    enum Bounds: Equatable {
        case body(Range<Int>)
        case partial
        case malformed
    }

    /// Reads an integer of at most `most` bytes at `at` and moves behind it; it must end before `end`, the end of what
    /// holds it. Longer forms than needed are taken, as servers do.
    static func number(
        _ bytes: borrowing Span<UInt8>, _ at: inout Int, end: Int = .max, most: Int = 5
    ) -> Number {
        var value: UInt32 = 0
        for place in 0..<most {
            let index = at + place
            if index >= end { return .malformed }
            if index >= bytes.count { return .partial }
            let byte = bytes[index]
            // A fifth byte holds four bits more than fit; they are dropped, as servers do.
            value |= UInt32(byte & 0x7f) << UInt32(7 * place)
            if byte & 0x80 == 0 {
                at = index + 1
                return .value(Int32(bitPattern: value))
            }
        }
        return .malformed
    }

    /// Reads the length before a frame of at least `least` and at most `most` bytes that starts at `start`.
    static func bounds(_ bytes: borrowing Span<UInt8>, from start: Int, least: Int, most: Int) -> Bounds {
        var at = start
        switch number(bytes, &at, most: 3) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .value(let length):
            guard length >= least, length <= most else { return .malformed }
            return .body(at..<(at + Int(length)))
        }
    }

    /// The same for a frame that must hold packet 0, the first of its state: what follows the packet's number.
    static func firstPacket(_ bytes: borrowing Span<UInt8>, from start: Int, least: Int, most: Int) -> Bounds {
        let bounds = bounds(bytes, from: start, least: least, most: most)
        guard case .body(let body) = bounds else { return bounds }
        guard body.lowerBound < bytes.count else { return .partial }
        guard bytes[body.lowerBound] == 0 else { return .malformed }
        return .body((body.lowerBound + 1)..<body.upperBound)
    }

    /// A text that has come with all of its frame, which ends at `end`.
    enum Text: Equatable {
        case complete(Range<Int>, end: Int)
        case partial
        case malformed
    }

    /// The text of so many bytes that packet 0 begins with; what follows it in the frame is left out.
    static func firstText(
        _ bytes: borrowing Span<UInt8>, from start: Int, least: Int, most: Int, length allowed: ClosedRange<Int32>
    ) -> Text {
        switch firstPacket(bytes, from: start, least: least, most: most) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .body(let body):
            var at = body.lowerBound
            switch number(bytes, &at, end: body.upperBound) {
            case .partial: return .partial
            case .malformed: return .malformed
            case .value(let length):
                guard allowed.contains(length), Int(length) <= body.upperBound - at else { return .malformed }
                guard bytes.count >= body.upperBound else { return .partial }
                return .complete(at..<(at + Int(length)), end: body.upperBound)
            }
        }
    }
}

extension ByteBuffer {
    /// Appends a variable-length integer; negative ones take five bytes.
    mutating func append(varInt value: Int32) {
        var rest = UInt32(bitPattern: value)
        while rest > 0x7f {
            append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        append(UInt8(truncatingIfNeeded: rest))
    }

    mutating func append(bigEndian value: UInt16) {
        append(UInt8(value >> 8))
        append(UInt8(truncatingIfNeeded: value))
    }
}
