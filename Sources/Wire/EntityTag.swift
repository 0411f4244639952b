/// The `ETag` of content that a gateway codes anew (RFC 9110 section 8.8.3).
public enum EntityTag {
    /// Appends the tag as a weak one: the coded content means the same and is not the same bytes, which is what a
    /// strong tag would promise (section 8.8.1). A weak one stays. Appends nothing and says false when it is no tag.
    ///
    /// A client sends the weak tag back in `If-None-Match`, which is compared weakly (section 13.1.2), so containers
    /// still answer 304. In `If-Range` it matches nothing (section 13.1.5): a range of the bytes before coding is never
    /// joined to coded ones.
    public static func appendWeak(_ tag: borrowing Span<UInt8>, to output: inout ByteBuffer) -> Bool {
        let isWeak = HTTPSpan.hasPrefix(tag, "W/")
        guard isOpaque(tag, from: isWeak ? 2 : 0) else { return false }
        if !isWeak { output.append("W/") }
        output.append(tag)
        return true
    }

    /// `DQUOTE *etagc DQUOTE`
    private static func isOpaque(_ tag: borrowing Span<UInt8>, from start: Int) -> Bool {
        let last = tag.count &- 1
        guard last > start, tag[start] == UInt8(ascii: "\""), tag[last] == UInt8(ascii: "\"") else { return false }
        for at in start &+ 1..<last where tag[at] <= 0x20 || tag[at] == UInt8(ascii: "\"") || tag[at] == 0x7f {
            return false
        }
        return true
    }
}
