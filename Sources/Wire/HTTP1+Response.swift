extension HTTP1 {
    /// Reads an answer's head from the first of `bytes` on; `method` is the request's, and `upgraded` says whether it
    /// asked for an upgrade, without which 101 is malformed.
    ///
    /// Every defect means that the upstream connection cannot be trusted any more (502).
    public static func parseResponseHead(
        _ bytes: borrowing Span<UInt8>, scan: inout HeadScan, into fields: HeadFields,
        limits: HeadLimits = .response, answering method: Method, upgraded: Bool = false
    ) -> HeadOutcome<ResponseHead> {
        var head = ResponseHead()
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
            try judge(bytes, fields, method, upgraded, &head)
            scan = HeadScan()
            return .complete(head)
        } catch {
            return .malformed(error)
        }
    }

    /// `HTTP-version SP 3DIGIT SP [reason] CRLF` (RFC 9112 section 4); the second space may be missing when there is
    /// no reason, as some servers send it.
    fileprivate static func readStatusLine(
        _ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int, _ head: inout ResponseHead
    ) -> Int? {
        guard let minor = version(bytes, start, end) else { return nil }
        head.minorVersion = minor
        let at = start &+ 8
        guard at &+ 5 < end, bytes[at] == Byte.space, bytes[at &+ 1] &- 0x31 < 5, Byte.isDigit(bytes[at &+ 2]),
            Byte.isDigit(bytes[at &+ 3])
        else { return nil }
        head.status =
            UInt16(bytes[at &+ 1] &- 0x30) &* 100 &+ UInt16(bytes[at &+ 2] &- 0x30) &* 10
            &+ UInt16(bytes[at &+ 3] &- 0x30)
        var reason = at &+ 4
        if bytes[reason] == Byte.space {
            reason &+= 1
        } else if bytes[reason] != Byte.cr {
            return nil
        }
        var stop = ByteSearch.first(.control, bytes, reason, end)
        while stop < end, bytes[stop] == Byte.tab { stop = ByteSearch.first(.control, bytes, stop &+ 1, end) }
        guard stop &+ 1 < end, bytes[stop] == Byte.cr, bytes[stop &+ 1] == Byte.lf else { return nil }
        head.reason = Slice(reason, stop)
        return stop &+ 2
    }

    /// RFC 9112 section 6.3 for answers.
    private static func judge(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ method: Method, _ upgraded: Bool,
        _ head: inout ResponseHead
    ) throws(HeadDefect) {
        if head.minorVersion > 1 { throw .versionUnsupported }
        if head.status == 101, !upgraded { throw .badRequest("101 that was not asked for") }
        let stated = try framing(bytes, fields, head.minorVersion)
        head.keepAlive = ConnectionOptions(bytes, fields).keepAlive(head.minorVersion)
        if head.status < 200 || head.status == 204 {
            head.framing = .none
            // These have no body whatever they say (RFC 9110 section 8.6); who says otherwise may also send one.
            if stated != .none && stated != .length(0) || head.status == 101 { head.keepAlive = false }
        } else if head.status == 304 || method == .head {
            head.framing = .none
        } else if stated == .none {
            head.framing = .untilClose
            head.keepAlive = false
        } else {
            head.framing = stated
        }
    }
}

extension ResponseHead: HeadWithStartLine {
    static var malformedStartLine: HeadDefect { .badRequest("malformed status line") }

    var scannedMethod: Method? { nil }

    mutating func readStartLine(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int? {
        HTTP1.readStatusLine(bytes, start, end, &self)
    }
}
