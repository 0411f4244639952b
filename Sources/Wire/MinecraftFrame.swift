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
