extension HTTP1 {
    /// Reads a request head from the first of `bytes` on.
    ///
    /// When it is complete, `fields` holds its field lines until the next parse and positions count from the first of
    /// `bytes`. After a 431 `fields` holds the lines that were complete and fitted.
    public static func parseRequestHead(
        _ bytes: borrowing Span<UInt8>, scan: inout HeadScan, into fields: HeadFields, limits: HeadLimits = .request
    ) -> HeadOutcome<RequestHead> {
        var head = RequestHead()
        let bytes = bytes.extracting(0..<min(bytes.count, limits.bytes))
        var limits = limits
        limits.fields = min(limits.fields, fields.capacity)
        let resumed = scan.isResumed
        do throws(HeadDefect) {
            guard try readHead(bytes, &scan, fields, limits, &head) else { return .partial }
            if resumed {
                // What earlier calls found was not kept: the table is shared with other connections.
                scan = HeadScan()
                _ = try readHead(bytes, &scan, fields, limits, &head)
            }
            try judge(bytes, fields, &head, requiresHost: limits.requiresHost)
            scan = HeadScan()
            return .complete(head)
        } catch {
            if resumed, error.status == 431 {
                scan = HeadScan()
                _ = try? readHead(bytes, &scan, fields, limits, &head)
            }
            return .malformed(error)
        }
    }

    /// `method SP request-target SP HTTP-version CRLF` (RFC 9112 section 3). Nil when it is anything else, or not all
    /// there.
    fileprivate static func readRequestLine(
        _ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead
    ) -> Int? {
        var at = start
        if start &+ 4 <= end, Word.load(bytes, start, count: 4) == Word.packed("GET ") {
            at = start &+ 3
            head.method = .get
        } else {
            while at < end, Byte.isToken(bytes[at]) { at &+= 1 }
            guard at > start, at < end, bytes[at] == Byte.space else { return nil }
            head.method = Method(bytes, start..<at)
        }
        head.methodToken = Slice(start, at)

        let target = at &+ 1
        at = ByteSearch.first(.notTarget, bytes, target, end)
        guard at > target, at < end, bytes[at] == Byte.space else { return nil }
        guard readTarget(bytes, target, at, &head) else { return nil }

        guard let minor = version(bytes, at &+ 1, end) else { return nil }
        head.minorVersion = minor
        let line = at &+ 9
        guard line &+ 1 < end, bytes[line] == Byte.cr, bytes[line &+ 1] == Byte.lf else { return nil }
        return line &+ 2
    }

    /// Splits the target into path and query by its form. The scheme of an absolute one is looked at by `judge`.
    private static func readTarget(
        _ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ head: inout RequestHead
    ) -> Bool {
        head.target = Slice(start, end)
        var path = start
        if bytes[start] == UInt8(ascii: "/") {
            head.form = .origin
        } else if end &- start == 1, bytes[start] == UInt8(ascii: "*") {
            head.form = .asterisk
        } else if head.method == .connect {
            head.form = .authority
            path = end
        } else {
            head.form = .absolute
            var colon = start
            while colon < end, Byte.isLetter(bytes[colon]) { colon &+= 1 }
            guard colon > start, end &- colon > 3, bytes[colon] == UInt8(ascii: ":"),
                bytes[colon &+ 1] == UInt8(ascii: "/"), bytes[colon &+ 2] == UInt8(ascii: "/")
            else { return false }
            path = colon &+ 3
            while path < end, bytes[path] != UInt8(ascii: "/"), bytes[path] != UInt8(ascii: "?") { path &+= 1 }
            head.targetAuthority = Slice(colon &+ 3, path)
        }
        let mark = ByteSearch.first(.byte(UInt8(ascii: "?")), bytes, path, end)
        head.path = Slice(path, mark)
        head.hasQuery = mark < end
        return true
    }

    /// `HTTP/` DIGIT `.` DIGIT at `at`: 0 or 1 for version 1.x, 255 for another, nil when it is no version.
    @inline(__always)
    static func version(_ bytes: borrowing Span<UInt8>, _ at: Int, _ end: Int) -> UInt8? {
        guard at &+ 8 <= end else { return nil }
        let word = Word.load(bytes, at)
        return word == Word.packed("HTTP/1.1") ? 1 : otherVersion(bytes, at)
    }

    private static func otherVersion(_ bytes: borrowing Span<UInt8>, _ at: Int) -> UInt8? {
        guard Word.load(bytes, at, count: 5) == Word.packed("HTTP/"), Byte.isDigit(bytes[at &+ 5]),
            bytes[at &+ 6] == UInt8(ascii: "."), Byte.isDigit(bytes[at &+ 7])
        else { return nil }
        if bytes[at &+ 5] != UInt8(ascii: "1") { return 255 }
        return bytes[at &+ 7] == UInt8(ascii: "0") ? 0 : 1
    }
}

extension RequestHead: HeadWithStartLine {
    static var malformedStartLine: HeadDefect { .badRequest("malformed request line") }

    var scannedMethod: Method? { method }

    mutating func readStartLine(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
        HTTP1.readRequestLine(bytes, start, end, &self)
    }
}
