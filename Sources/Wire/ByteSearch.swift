/// The first byte of some kind, sixteen bytes a step: most of the work of reading a head.
///
/// Bounds are checked once before the loop, which then loads without checks; here, in `FieldName.recognise` and in
/// `HTTPSpan.equal` are the only unchecked reads of this module.
enum ByteSearch {
    /// A kind of byte to stop at.
    enum Kind {
        /// Below 0x20, and 0x7f.
        case control
        /// `:` and what `control` stops at.
        case colonOrControl
        /// Everything but letters, digits and `-`, which most field names are made of.
        case notPlainName
        /// The same, and upper-case letters.
        case notSmallName
        /// What a request target may not hold: controls, space, `#`, 0x7f and above.
        case notTarget
        case byte(UInt8)
    }

    /// The position of the first byte of this kind in `start..<end`, or `end`.
    @inline(__always)
    static func first(_ kind: Kind, _ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
        precondition(start >= 0 && end <= bytes.count)
        var at = start
        while at &+ 16 <= end {
            let hits = hits(kind, bytes, at)
            if hits.low | hits.high != 0 { return at &+ position(hits) }
            at &+= 16
        }
        if at < end, end >= 16 {
            // The last sixteen bytes, less those that were looked at or lie before `start`.
            var hits = hits(kind, bytes, end &- 16)
            let skipped = UInt64(truncatingIfNeeded: at &- end &+ 16) &<< 3
            hits.low = skipped < 64 ? hits.low & (.max &<< skipped) : 0
            hits.high = skipped < 64 ? hits.high : hits.high & (.max &<< (skipped &- 64))
            return hits.low | hits.high != 0 ? end &- 16 &+ position(hits) : end
        }
        while at < end, unsafe !matches(kind, bytes[unchecked: at]) { at &+= 1 }
        return at
    }

    /// The hits among sixteen bytes, the first in the lowest byte of `low`.
    @inline(__always)
    private static func hits(
        _ kind: Kind, _ bytes: borrowing Span<UInt8>, _ at: Int
    ) -> (low: UInt64, high: UInt64) {
        let vector = unsafe bytes.bytes.unsafeLoadUnaligned(fromUncheckedByteOffset: at, as: SIMD16<UInt8>.self)
        let halves = unsafe unsafeBitCast(mask(kind, vector), to: SIMD2<UInt64>.self)
        return (UInt64(littleEndian: halves[0]), UInt64(littleEndian: halves[1]))
    }

    @inline(__always)
    private static func position(_ hits: (low: UInt64, high: UInt64)) -> Int {
        hits.low != 0 ? Word.first(hits.low) : 8 &+ Word.first(hits.high)
    }

    /// The hits of one vector, all bits of a byte set or none. Each operand is a vector, as the operators between a
    /// vector and a scalar go element by element.
    @inline(__always)
    private static func mask(_ kind: Kind, _ vector: SIMD16<UInt8>) -> SIMDMask<SIMD16<Int8>> {
        switch kind {
        case .control: (vector .< all(0x20)) .| (vector .== all(0x7f))
        case .colonOrControl: (vector .< all(0x20)) .| (vector .== all(0x3a)) .| (vector .== all(0x7f))
        case .notPlainName:
            (((vector | all(0x20)) &- all(0x61)) .>= all(26)) .& ((vector &- all(0x30)) .>= all(10))
                .& (vector .!= all(0x2d))
        case .notSmallName:
            ((vector &- all(0x61)) .>= all(26)) .& ((vector &- all(0x30)) .>= all(10)) .& (vector .!= all(0x2d))
        case .notTarget: ((vector &- all(0x21)) .>= all(0x5e)) .| (vector .== all(0x23))
        case .byte(let byte): vector .== all(byte)
        }
    }

    @inline(__always)
    private static func all(_ byte: UInt8) -> SIMD16<UInt8> { SIMD16(repeating: byte) }

    @inline(__always)
    private static func matches(_ kind: Kind, _ byte: UInt8) -> Bool {
        switch kind {
        case .control: byte < 0x20 || byte == 0x7f
        case .colonOrControl: byte < 0x20 || byte == 0x3a || byte == 0x7f
        case .notPlainName: !Byte.isLetter(byte) && !Byte.isDigit(byte) && byte != 0x2d
        case .notSmallName: byte &- 0x61 >= 26 && !Byte.isDigit(byte) && byte != 0x2d
        case .notTarget: byte &- 0x21 >= 0x5e || byte == 0x23
        case .byte(let wanted): byte == wanted
        }
    }
}
