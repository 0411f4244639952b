/// HTTP/1 heads, strictly by RFC 9112: lines end in CRLF, nothing is repaired, doubtful framing is refused.
///
/// Every parser takes all bytes received of the head so far. While the answer is `.partial` call again with more bytes
/// and the same `HeadScan`; the result never depends on how the bytes were split.
public enum HTTP1 {
    /// Reads field lines from `scan.lineStart` on; gives the position behind the empty line that ends them, nil while
    /// it is missing.
    ///
    /// Only complete lines are judged, in their order, so that a head is refused for the same line however it arrives.
    static func readFields(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ fields: HeadFields, _ limits: HeadLimits
    ) throws(HeadDefect) -> Int? {
        let end: Int?
        do throws(HeadDefect) {
            end = try readLines(bytes, &scan, fields, limits)
        } catch {
            try nameLines(bytes, &scan, fields)
            throw error
        }
        try nameLines(bytes, &scan, fields)
        return end
    }

    /// Finds name and value of every line and puts them into the table. Until `nameLines` knows better a name is
    /// `.other` when it consists of letters, digits and `-`, and `.underscore` when of anything else.
    private static func readLines(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ fields: HeadFields, _ limits: HeadLimits
    ) throws(HeadDefect) -> Int? {
        let count = bytes.count
        var at = scan.lineStart
        var lines = scan.fieldLines
        var stored = 0
        defer {
            scan.fieldLines = lines
            fields.setCount(stored)
        }
        if scan.checked > at, try !completesLine(bytes, at, &scan) { return nil }
        while at < count {
            var colon = ByteSearch.first(.notPlainName, bytes, at, count)
            var name = FieldName.other
            if !bytes.has(UInt8(ascii: ":"), at: colon) {
                if colon == at, bytes[at] == Byte.cr {
                    guard at &+ 1 < count else { break }
                    guard bytes[at &+ 1] == Byte.lf else { throw .badRequest("CR without LF") }
                    if lines > limits.fields { throw .tooManyFields }
                    return at &+ 2
                }
                colon = ByteSearch.first(.colonOrControl, bytes, colon, count)
                name = .underscore
            }
            var value = min(colon &+ 1, count)
            if bytes.has(Byte.space, at: value) { value &+= 1 }
            var stop = ByteSearch.first(.control, bytes, value, count)
            while bytes.has(Byte.tab, at: stop) { stop = ByteSearch.first(.control, bytes, stop &+ 1, count) }
            guard bytes.hasLineEnd(at: stop), bytes[colon] == UInt8(ascii: ":") else {
                if try !completesLine(bytes, at, &scan) { return nil }
                throw .badRequest("field line without colon")
            }
            let next = stop &+ 2
            // No control but the tab is left in between.
            while value < stop, bytes[value] <= Byte.space { value &+= 1 }
            while stop > value, bytes[stop &- 1] <= Byte.space { stop &-= 1 }

            lines &+= 1
            if lines <= limits.fields {
                fields.set(
                    stored,
                    HeadField(
                        start: UInt32(truncatingIfNeeded: at), valueStart: UInt32(truncatingIfNeeded: value),
                        valueEnd: UInt32(truncatingIfNeeded: stop), end: UInt32(truncatingIfNeeded: next),
                        nameLength: UInt16(clamping: colon &- at), name: name))
                stored &+= 1
            } else if lines > HeadLimits.farTooMany {
                throw .farTooManyFields
            }
            at = next
        }
        scan.lineStart = at
        scan.checked = at
        return nil
    }

    /// Recognises the names of the lines in the table; the first that is not a token is refused.
    private static func nameLines(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ fields: HeadFields
    ) throws(HeadDefect) {
        for index in 0..<fields.count {
            let line = fields[index]
            let start = Int(line.start)
            let end = start &+ Int(line.nameLength)
            let isPlain = line.name == .other
            // The greatest length stands for any that the table cannot hold.
            guard line.nameLength < .max,
                let name = isPlain ? FieldName.plain(bytes, start, end) : FieldName.odd(bytes, start, end)
            else {
                throw .badRequest("field name is not a token")
            }
            if name == .cookie { scan.cookieBytes &+= line.lineRange.count }
            fields.name(index, name)
        }
    }

    /// Whether the line that starts at `start` is complete; looks from `scan.checked` on if an earlier call got there.
    /// Refuses what no line may hold as soon as it is there.
    static func completesLine(
        _ bytes: borrowing Span<UInt8>, _ start: Int, _ scan: inout HeadScan
    ) throws(HeadDefect) -> Bool {
        let count = bytes.count
        scan.lineStart = start
        scan.checked = max(scan.checked, start)
        var at = ByteSearch.first(.control, bytes, scan.checked, count)
        while at < count {
            switch bytes[at] {
            case Byte.tab: at = ByteSearch.first(.control, bytes, at &+ 1, count)
            case Byte.cr:
                if at &+ 1 == count {
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
        scan.checked = count
        return false
    }

    /// Skips the empty lines that may come before a start line; false while that has not begun.
    static func skipEmptyLines(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ limits: HeadLimits
    ) throws(HeadDefect) -> Bool {
        while bytes.has(Byte.cr, at: scan.lineStart) {
            guard scan.emptyLines < limits.emptyLines else { throw .tooManyEmptyLines }
            guard scan.lineStart &+ 1 < bytes.count else { return false }
            guard bytes[scan.lineStart &+ 1] == Byte.lf else { throw .badRequest("CR without LF") }
            scan.emptyLines &+= 1
            scan.lineStart &+= 2
            scan.checked = scan.lineStart
        }
        return scan.lineStart < bytes.count
    }

    /// What to say of bytes that hold no whole head yet: `bytes` ends where the limit does.
    static func unfinished(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ limits: HeadLimits
    ) throws(HeadDefect) {
        guard bytes.count >= limits.bytes else { return }
        let line = bytes.extracting(scan.lineStart..<bytes.count)
        if scan.startLineDone, HTTPSpan.hasPrefixIgnoringCase(line, "cookie:") {
            scan.cookieBytes &+= line.count
        }
        throw .headTooLarge
    }
}

extension Span<UInt8> {
    /// Whether there is a byte at `position` and it is this one.
    @inline(__always)
    func has(_ byte: UInt8, at position: Int) -> Bool {
        UInt(bitPattern: position) < UInt(bitPattern: count) && self[position] == byte
    }

    /// Whether CR and LF are at `position`.
    @inline(__always)
    func hasLineEnd(at position: Int) -> Bool {
        has(Byte.cr, at: position) && has(Byte.lf, at: position &+ 1)
    }
}
