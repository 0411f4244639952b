extension HTTP1 {
    /// Reads a trailer section through its final empty line (RFC 9112 section 7.1.2) and gives its size; one that is
    /// too large or has too many fields is a 400 (`limits.framing.trailers`).
    public static func parseTrailers(
        _ bytes: borrowing Span<UInt8>, scan: inout HeadScan, into fields: HeadFields, limits: HeadLimits = .trailers
    ) -> HeadOutcome<Int> {
        let bytes = bytes.extracting(0..<min(bytes.count, limits.bytes))
        var limits = limits
        limits.fields = min(limits.fields, fields.capacity)
        let resumed = scan.isResumed
        fields.removeAll()
        do throws(HeadDefect) {
            guard var size = try readFields(bytes, &scan, fields, limits) else {
                try unfinished(bytes, &scan, limits)
                return .partial
            }
            if resumed {
                // What earlier calls found was not kept: the table is shared with other connections.
                scan = HeadScan()
                size = try readFields(bytes, &scan, fields, limits) ?? size
            }
            scan = HeadScan()
            return .complete(size)
        } catch {
            return .malformed(error.status == 431 ? .trailersTooLarge : error)
        }
    }
}
