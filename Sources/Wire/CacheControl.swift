/// The directives of `Cache-Control` that bind a gateway without a cache.
public enum CacheControl {
    /// Whether any `Cache-Control` field forbids to change the content (RFC 9111 sections 5.2.1.6 and 5.2.2.6).
    public static func forbidsTransform(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        guard fields.contains(.cacheControl) else { return false }
        for index in 0..<fields.count where fields[index].name == .cacheControl {
            if ListHeader.contains("no-transform", in: bytes.extracting(fields[index].valueRange)) { return true }
        }
        return false
    }
}
