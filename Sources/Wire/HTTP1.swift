/// HTTP/1 heads, strictly by RFC 9112: lines end in CRLF, nothing is repaired, doubtful framing is refused.
///
/// Every parser takes all bytes received of the head so far. While the answer is `.partial` call again with more bytes
/// and the same `HeadScan`; the result never depends on how the bytes were split.
public enum HTTP1 {
    /// Reads field lines from `scan.lineStart` on; returns the position behind the empty line that ends them, nil while
    /// it is missing.
    ///
    /// Only complete lines are judged, so that a head is refused for the same line however it arrives.
    static func readFields(
        _ bytes: borrowing Span<UInt8>, _ end: Int, _ scan: inout HeadScan, _ fields: HeadFields, _ limits: HeadLimits
    ) throws(HeadDefect) -> Int? {
        var at = scan.lineStart
        if scan.checked > at {
            guard try completesLine(bytes, end, &scan) else { return nil }
        }
        while at < end {
            if bytes[at] == Byte.cr {
                guard at &+ 1 < end else { return partial(&scan, at, at) }
                guard bytes[at &+ 1] == Byte.lf else { throw .badRequest("CR without LF") }
                if scan.fieldLines > limits.fields { throw .tooManyFields }
                return at &+ 2
            }
            let colon = findColon(bytes, at, end)
            guard colon < end, bytes[colon] == UInt8(ascii: ":") else {
                scan.lineStart = at
                scan.checked = at
                guard try completesLine(bytes, end, &scan) else { return nil }
                throw .badRequest("field line without colon")
            }
            var value = colon &+ 1
            while value < end, Byte.isSpaceOrTab(bytes[value]) { value &+= 1 }
            var stop = findControl(bytes, value, end)
            while stop < end, bytes[stop] == Byte.tab { stop = findControl(bytes, stop &+ 1, end) }
            guard stop &+ 1 < end, bytes[stop] == Byte.cr, bytes[stop &+ 1] == Byte.lf else {
                scan.lineStart = at
                scan.checked = at
                guard try completesLine(bytes, end, &scan) else { return nil }
                throw .badRequest("control byte in field value")
            }
            let next = stop &+ 2
            while stop > value, Byte.isSpaceOrTab(bytes[stop &- 1]) { stop &-= 1 }

            var name = FieldName.recognise(bytes, at, colon)
            if name == .other {
                guard FieldName.isToken(bytes, at, colon) else { throw .badRequest("field name is not a token") }
                name = FieldName.family(bytes, at, colon)
            }
            try count(name, next &- at, &scan)
            if scan.fieldLines <= limits.fields {
                guard colon &- at <= 0xffff else { throw .badRequest("field name too long") }
                fields.append(
                    HeadField(
                        start: UInt32(truncatingIfNeeded: at), valueStart: UInt32(truncatingIfNeeded: value),
                        valueEnd: UInt32(truncatingIfNeeded: stop), end: UInt32(truncatingIfNeeded: next),
                        nameLength: UInt16(truncatingIfNeeded: colon &- at), name: name))
            }
            at = next
        }
        return partial(&scan, at, at)
    }

    @inline(__always)
    private static func count(_ name: FieldName, _ length: Int, _ scan: inout HeadScan) throws(HeadDefect) {
        scan.fieldLines &+= 1
        if scan.fieldLines > HeadLimits.farTooMany { throw .farTooManyFields }
        if name == .cookie { scan.cookieBytes &+= length }
    }

    private static func partial(_ scan: inout HeadScan, _ lineStart: Int, _ checked: Int) -> Int? {
        scan.lineStart = lineStart
        scan.checked = checked
        return nil
    }

    /// Looks for the end of the line at `scan.lineStart` from `scan.checked` on: false when it has not arrived. Refuses
    /// what no line may hold as soon as it is there.
    static func completesLine(
        _ bytes: borrowing Span<UInt8>, _ end: Int, _ scan: inout HeadScan
    ) throws(HeadDefect) -> Bool {
        var at = findControl(bytes, scan.checked, end)
        while at < end {
            switch bytes[at] {
            case Byte.tab: at = findControl(bytes, at &+ 1, end)
            case Byte.cr:
                if at &+ 1 == end {
                    scan.checked = at
                    return false
                }
                guard bytes[at &+ 1] == Byte.lf else { throw .badRequest("CR without LF") }
                return true
            case Byte.lf: throw .badRequest("LF without CR")
            case 0: throw .badRequest("NUL in head")
            default: throw .badRequest("control byte in head")
            }
        }
        scan.checked = end
        return false
    }

    /// The first `:` or control byte, or `end`.
    @inline(__always)
    private static func findColon(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start
        while at &+ 8 <= end {
            let word = Word.load(bytes, at)
            let hits = Word.equal(word, 0x3a) | Word.below20(word)
            if hits != 0 { return at &+ Word.first(hits) }
            at &+= 8
        }
        while at < end, bytes[at] != UInt8(ascii: ":"), bytes[at] >= 0x20 { at &+= 1 }
        return at
    }

    /// The first byte below 0x20 or equal to 0x7f, or `end`.
    @inline(__always)
    static func findControl(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int {
        var at = start
        while at &+ 8 <= end {
            let hits = Word.controls(Word.load(bytes, at))
            if hits != 0 { return at &+ Word.first(hits) }
            at &+= 8
        }
        while at < end, bytes[at] >= 0x20, bytes[at] != 0x7f { at &+= 1 }
        return at
    }

    /// Skips the empty lines that may come before a start line; nil while it has not begun.
    static func skipEmptyLines(
        _ bytes: borrowing Span<UInt8>, _ end: Int, _ scan: inout HeadScan, _ limits: HeadLimits
    ) throws(HeadDefect) -> Bool {
        while scan.lineStart < end, bytes[scan.lineStart] == Byte.cr {
            guard scan.emptyLines < limits.emptyLines else { throw .badRequest("empty line before the head") }
            guard scan.lineStart &+ 1 < end else { return false }
            guard bytes[scan.lineStart &+ 1] == Byte.lf else { throw .badRequest("CR without LF") }
            scan.emptyLines &+= 1
            scan.lineStart &+= 2
            scan.checked = scan.lineStart
        }
        return scan.lineStart < end
    }

    /// What to say of bytes that hold no whole head yet.
    static func unfinished(
        _ bytes: borrowing Span<UInt8>, _ end: Int, _ scan: inout HeadScan, _ limits: HeadLimits
    ) throws(HeadDefect) {
        guard bytes.count >= limits.bytes else { return }
        let line = bytes.extracting(scan.lineStart..<end)
        if scan.startLineDone, HTTPSpan.hasPrefixIgnoringCase(line, "cookie:") {
            scan.cookieBytes &+= line.count
        }
        throw .headTooLarge
    }
}
