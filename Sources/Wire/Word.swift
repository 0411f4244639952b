/// Eight bytes at a time: the loads and bit tricks with which the parsers skip over bytes that need no look.
///
/// A word is little-endian, so that its lowest byte is the first. Every finder returns a mask with the top bit of
/// each hit byte set; only the lowest hit is exact, which is the only one that is used.
enum Word {
    static let ones: UInt64 = 0x0101_0101_0101_0101
    static let tops: UInt64 = 0x8080_8080_8080_8080
    /// Makes ASCII letters lower-case; other bytes change too, so compare only with what a token may hold.
    static let lower: UInt64 = 0x2020_2020_2020_2020

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

    /// At most eight bytes of `at..<at + count`, the rest zero.
    @inline(__always)
    static func load(_ bytes: borrowing Span<UInt8>, _ at: Int, count: Int) -> UInt64 {
        if at &+ 8 <= bytes.count {
            let word = load(bytes, at)
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

    /// Where the lowest hit is, in bytes.
    @inline(__always)
    static func first(_ hits: UInt64) -> Int { hits.trailingZeroBitCount &>> 3 }

    /// Bytes below 0x20 and 0x7f.
    @inline(__always)
    static func controls(_ word: UInt64) -> UInt64 {
        let del = word ^ (ones &* 0x7f)
        return (((word &- ones &* 0x20) & ~word) | ((del &- ones) & ~del)) & tops
    }

    /// Bytes below 0x20.
    @inline(__always)
    static func below20(_ word: UInt64) -> UInt64 { (word &- ones &* 0x20) & ~word & tops }

    /// Bytes equal to `byte`.
    @inline(__always)
    static func equal(_ word: UInt64, _ byte: UInt8) -> UInt64 {
        let difference = word ^ (ones &* UInt64(byte))
        return (difference &- ones) & ~difference & tops
    }

    /// Bytes that a request target may not hold: controls, space, 0x7f, `#` and those above ASCII.
    @inline(__always)
    static func notTarget(_ word: UInt64) -> UInt64 {
        let del = word ^ (ones &* 0x7f)
        return (((word &- ones &* 0x21) & ~word) | ((del &- ones) & ~del) | word) & tops | equal(word, 0x23)
    }

    /// Bytes other than letters, digits and `-`, the ones most field names are made of. Every hit is exact.
    @inline(__always)
    static func notPlainName(_ word: UInt64) -> UInt64 {
        let seven = word & ~tops
        let folded = seven | lower
        let letter = (folded &+ ones &* (0x80 - 0x61)) & ~(folded &+ ones &* (0x80 - 0x7b))
        let digit = (seven &+ ones &* (0x80 - 0x30)) & ~(seven &+ ones &* (0x80 - 0x3a))
        let dash = ~((seven ^ (ones &* 0x2d)) &+ ones &* 0x7f)
        return (~(letter | digit | dash) | word) & tops
    }
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
