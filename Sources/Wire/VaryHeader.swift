/// `Vary` (RFC 9110 section 12.5.5).
public enum VaryHeader {
    /// Whether a head must say `Vary: Accept-Encoding` still, in a field line of its own: none of its fields names
    /// that one, or is `*`.
    public static func lacksAcceptEncoding(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        guard fields.contains(.vary) else { return true }
        for index in 0..<fields.count where fields[index].name == .vary {
            let value = bytes.extracting(fields[index].valueRange)
            if ListHeader.contains("accept-encoding", in: value) || ListHeader.contains("*", in: value) { return false }
        }
        return true
    }
}
