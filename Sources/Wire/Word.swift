/// Eight bytes at a time: the loads and bit tricks with which the parsers skip over bytes that need no look.
///
/// A word is little-endian, so that its lowest byte is the first.
enum Word {
    /// Makes ASCII letters lower-case; other bytes change too, so compare only with what a token may hold.
    static let lower: UInt64 = 0x2020_2020_2020_2020

    /// The case bit's upper neighbour.
    static let upper: UInt64 = 0x4040_4040_4040_4040

    /// The eight bytes at `at`; bounds are checked.
    @inline(__always)
    static func load(_ bytes: borrowing Span<UInt8>, _ at: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// The four bytes at `at`; bounds are checked.
    @inline(__always)
    static func loadHalf(_ bytes: borrowing Span<UInt8>, _ at: Int) -> UInt32 {
        unsafe UInt32(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromByteOffset: at, as: UInt32.self))
    }

    /// The eight bytes at `at`, which the caller knows to lie in `bytes`.
    @unsafe
    @inline(__always)
    static func load(unchecked bytes: borrowing Span<UInt8>, _ at: Int) -> UInt64 {
        unsafe UInt64(littleEndian: bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: UInt64.self))
    }

    /// At most eight bytes of `at..<at + count`, the rest zero.
    @inline(__always)
    static func load(_ bytes: borrowing Span<UInt8>, _ at: Int, count: Int) -> UInt64 {
        if at >= 0, at &+ 8 <= bytes.count {
            let word = unsafe load(unchecked: bytes, at)
            return count >= 8 ? word : word & ((1 &<< UInt64(truncatingIfNeeded: count &* 8)) &- 1)
        }
        var word: UInt64 = 0
        for place in 0..<min(count, 8) { word |= UInt64(bytes[at &+ place]) &<< UInt64(place &* 8) }
        return word
    }

    /// At most eight bytes of a literal as a word; the optimiser turns it into a constant.
    @inline(__always)
    static func packed(_ text: StaticString) -> UInt64 {
        var word: UInt64 = 0
        let count = min(text.utf8CodeUnitCount, 8)
        for place in 0..<count {
            word |= unsafe UInt64(text.utf8Start[place]) &<< UInt64(place &* 8)
        }
        return word
    }

    /// The word with its ASCII letters made small and all else as it is.
    @inline(__always)
    static func lowered(_ word: UInt64) -> UInt64 {
        // Bytes without their top bit, so that no sum goes over into the next; a sum's top bit tells who is greater.
        let low = word & 0x7f7f_7f7f_7f7f_7f7f
        let fromA = low &+ 0x3f3f_3f3f_3f3f_3f3f
        let aboveZ = low &+ 0x2525_2525_2525_2525
        let capitals = fromA & ~aboveZ & ~word & 0x8080_8080_8080_8080
        return word | capitals &>> 2
    }

    /// Where the lowest hit is, in bytes.
    @inline(__always)
    static func first(_ hits: UInt64) -> Int { hits.trailingZeroBitCount &>> 3 }
}

/// What single bytes may be.
enum Byte {
    static let cr: UInt8 = 0x0d
    static let lf: UInt8 = 0x0a
    static let tab: UInt8 = 0x09
    static let space: UInt8 = 0x20

    @inline(__always)
    static func isSpaceOrTab(_ byte: UInt8) -> Bool { byte == space || byte == tab }

    /// Controls but for the tab.
    @inline(__always)
    static func isControl(_ byte: UInt8) -> Bool { byte < 0x20 && byte != tab || byte == 0x7f }

    @inline(__always)
    static func isDigit(_ byte: UInt8) -> Bool { byte &- 0x30 < 10 }

    @inline(__always)
    static func isLetter(_ byte: UInt8) -> Bool { (byte | 0x20) &- 0x61 < 26 }

    /// `tchar` of RFC 9110 section 5.6.2.
    @inline(__always)
    static func isToken(_ byte: UInt8) -> Bool {
        // Bits for 0x00...0x3f and 0x40...0x7f.
        let low: UInt64 = 0x03ff_6cfa_0000_0000
        let high: UInt64 = 0x57ff_ffff_c7ff_fffe
        if byte >= 0x80 { return false }
        return ((byte < 0x40 ? low : high) &>> UInt64(byte & 0x3f)) & 1 != 0
    }

    /// ASCII lower case.
    @inline(__always)
    static func lowered(_ byte: UInt8) -> UInt8 { byte &- 0x41 < 26 ? byte | 0x20 : byte }

    /// The value of a hexadecimal digit, or nil.
    @inline(__always)
    static func hex(_ byte: UInt8) -> UInt8? {
        if isDigit(byte) { return byte &- 0x30 }
        let letter = (byte | 0x20) &- 0x61
        return letter < 6 ? letter &+ 10 : nil
    }
}
