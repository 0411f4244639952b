/// Comparing runs of bytes with each other and with literals.
public enum HTTPSpan {
    /// Whether both hold the same bytes.
    public static func equal(_ a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
        let count = a.count
        guard count >= 16 else { return agree(a, b) { $0 } }
        guard count == b.count else { return false }
        var at = 0
        while at < count &- 16 {
            if differ(a, b, at) { return false }
            at &+= 16
        }
        // The last sixteen are perhaps looked at in part for the second time.
        return !differ(a, b, count &- 16)
    }

    /// Whether the sixteen bytes at `at`, which lie in both, differ.
    @inline(__always)
    private static func differ(_ a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>, _ at: Int) -> Bool {
        let low = unsafe Word.load(unchecked: a, at) ^ Word.load(unchecked: b, at)
        let high = unsafe Word.load(unchecked: a, at &+ 8) ^ Word.load(unchecked: b, at &+ 8)
        return low | high != 0
    }

    /// Whether both are the same once `made` was made of their words, of each byte by itself.
    @inline(__always)
    private static func agree(
        _ a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>, _ made: (UInt64) -> UInt64
    ) -> Bool {
        let count = a.count
        guard count == b.count else { return false }
        if count < 4 { return made(Word.load(a, 0, count: count)) == made(Word.load(b, 0, count: count)) }
        // The last word, or half of one, is perhaps looked at in part for the second time.
        if count < 8 {
            return made(UInt64(Word.loadHalf(a, 0))) == made(UInt64(Word.loadHalf(b, 0)))
                && made(UInt64(Word.loadHalf(a, count &- 4))) == made(UInt64(Word.loadHalf(b, count &- 4)))
        }
        var at = 0
        while at < count &- 8 {
            if made(Word.load(a, at)) != made(Word.load(b, at)) { return false }
            at &+= 8
        }
        return made(Word.load(a, count &- 8)) == made(Word.load(b, count &- 8))
    }

    /// Whether `bytes` are those of the literal.
    public static func equal(_ bytes: borrowing Span<UInt8>, _ text: StaticString) -> Bool {
        bytes.count == text.utf8CodeUnitCount && hasPrefix(bytes, text)
    }

    /// Whether both are the same but for the case of ASCII letters.
    public static func equalsIgnoringCase(_ a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
        agree(a, b) { Word.lowered($0) }
    }

    /// Whether `a` holds the bytes of `b` with its ASCII letters in lower case.
    public static func equal(_ a: borrowing Span<UInt8>, lowercasing b: borrowing Span<UInt8>) -> Bool {
        let count = a.count
        guard count == b.count else { return false }
        for at in 0..<count where a[at] != Byte.lowered(b[at]) { return false }
        return true
    }

    /// Whether `bytes` are those of the literal but for the case of ASCII letters.
    public static func equalsIgnoringCase(_ bytes: borrowing Span<UInt8>, _ text: StaticString) -> Bool {
        bytes.count == text.utf8CodeUnitCount && hasPrefixIgnoringCase(bytes, text)
    }

    /// Whether `bytes` begin with the literal.
    public static func hasPrefix(_ bytes: borrowing Span<UInt8>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count >= count else { return false }
        let literal = unsafe UnsafeBufferPointer(start: text.utf8Start, count: count)
        return unsafe equal(bytes.extracting(first: count), literal.span)
    }

    /// Whether `bytes` begin with the literal, but for the case of ASCII letters.
    public static func hasPrefixIgnoringCase(_ bytes: borrowing Span<UInt8>, _ text: StaticString) -> Bool {
        let count = text.utf8CodeUnitCount
        guard bytes.count >= count else { return false }
        let literal = unsafe UnsafeBufferPointer(start: text.utf8Start, count: count)
        return unsafe equalsIgnoringCase(bytes.extracting(first: count), literal.span)
    }

    /// Whether any byte is a control, the tab included.
    public static func hasControl(_ bytes: borrowing Span<UInt8>) -> Bool {
        for at in 0..<bytes.count where bytes[at] < 0x20 || bytes[at] == 0x7f { return true }
        return false
    }

    /// `range` without the spaces and tabs at its ends.
    public static func trimmed(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Range<Int> {
        var start = range.lowerBound
        var end = range.upperBound
        while start < end, Byte.isSpaceOrTab(bytes[start]) { start &+= 1 }
        while end > start, Byte.isSpaceOrTab(bytes[end &- 1]) { end &-= 1 }
        return start..<end
    }

    /// The number that `bytes` spell, as `Content-Length` must: `1*DIGIT`, at most 2^63 - 1.
    public static func decimal(_ bytes: borrowing Span<UInt8>) -> UInt64? {
        if bytes.isEmpty { return nil }
        var value: UInt64 = 0
        for at in 0..<bytes.count {
            let digit = bytes[at] &- 0x30
            let (product, overflow) = value.multipliedReportingOverflow(by: 10)
            guard digit < 10, !overflow else { return nil }
            let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
            guard !carry, sum <= UInt64(Int64.max) else { return nil }
            value = sum
        }
        return value
    }

    /// The position of `byte` in `range`, or its end; `range` must lie in `bytes`.
    public static func find(_ byte: UInt8, in bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Int {
        ByteSearch.first(.byte(byte), bytes, range.lowerBound, range.upperBound)
    }
}
