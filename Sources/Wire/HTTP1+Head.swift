/// A head as `HTTP1.readHead` sees it: a start line of its own kind before the field lines.
protocol HeadWithStartLine {
    /// The defect of a complete line that is no such start line.
    static var malformedStartLine: HeadDefect { get }
    /// What a 431 tells of the start line.
    var scannedMethod: Method? { get }
    /// The field lines.
    var fields: Slice { get set }
    /// Behind the empty line.
    var end: UInt32 { get set }

    /// Reads the start line at `start`; the position behind it, nil when it is malformed or not all there.
    mutating func readStartLine(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Int?
}

extension HTTP1 {
    /// Whether the head is complete; its field lines are then in the table, its start line in `head`.
    static func readHead<Head: HeadWithStartLine>(
        _ bytes: borrowing Span<UInt8>, _ scan: inout HeadScan, _ fields: HeadFields, _ limits: HeadLimits,
        _ head: inout Head
    ) throws(HeadDefect) -> Bool {
        fields.removeAll()
        if !scan.startLineDone {
            guard try skipEmptyLines(bytes, &scan, limits) else {
                try unfinished(bytes, &scan, limits)
                return false
            }
            let start = scan.lineStart
            if scan.checked > start, try !completesLine(bytes, start, &scan) {
                try unfinished(bytes, &scan, limits)
                return false
            }
            guard let next = head.readStartLine(bytes, start, bytes.count) else {
                if try completesLine(bytes, start, &scan) { throw Head.malformedStartLine }
                try unfinished(bytes, &scan, limits)
                return false
            }
            scan.method = head.scannedMethod
            scan.startLineDone = true
            scan.lineStart = next
            scan.checked = next
        }
        let start = scan.lineStart
        guard let next = try readFields(bytes, &scan, fields, limits) else {
            try unfinished(bytes, &scan, limits)
            return false
        }
        head.fields = Slice(start, next &- 2)
        head.end = UInt32(truncatingIfNeeded: next)
        return true
    }
}
