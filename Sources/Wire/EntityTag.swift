/// The `ETag` of content that a gateway codes anew (RFC 9110 section 8.8.3).
///
/// A strong tag promises the same bytes, which coded content does not keep: it becomes weak. As a client hands it back in
/// `If-Match`, where weak tags match nothing (section 13.1.1), or to a server that compares text, it is also marked, so
/// that the container's own tag can be restored. A container's weak tags stay as they are, both ways. In `If-Range` a
/// marked tag is left alone and matches nothing (section 13.1.5): a range of the bytes before coding is never joined to
/// coded ones.
public enum EntityTag {
    /// Ends the text of a tag that we made weak.
    static let mark: StaticString = "-zlhgz"

    /// Appends the tag for content that was coded. Appends nothing and says false when it is no tag.
    public static func appendCoded(_ tag: borrowing Span<UInt8>, to output: inout ByteBuffer) -> Bool {
        let isWeak = HTTPSpan.hasPrefix(tag, "W/")
        guard isOpaque(tag, from: isWeak ? 2 : 0) else { return false }
        if isWeak {
            output.append(tag)
        } else {
            output.append("W/")
            output.append(tag.extracting(first: tag.count &- 1))
            output.append(mark)
            output.append(UInt8(ascii: "\""))
        }
        return true
    }

    /// Whether a list of tags may hold one that `appendCoded` marked.
    public static func holdsMark(_ list: borrowing Span<UInt8>) -> Bool {
        var at = HTTPSpan.find(UInt8(ascii: "-"), in: list, 0..<list.count)
        while at < list.count {
            if HTTPSpan.hasPrefix(list.extracting(droppingFirst: at), mark) { return true }
            at = HTTPSpan.find(UInt8(ascii: "-"), in: list, at &+ 1..<list.count)
        }
        return false
    }

    /// Appends a list of tags with those that were marked as the container knows them, which are put into `restored` too.
    public static func appendRestored(
        _ list: borrowing Span<UInt8>, to output: inout ByteBuffer, restored: inout ByteBuffer
    ) {
        let quote = UInt8(ascii: "\"")
        var copied = 0
        var at = 0
        while true {
            let start = HTTPSpan.find(quote, in: list, at..<list.count)
            guard start < list.count else { break }
            let end = HTTPSpan.find(quote, in: list, start &+ 1..<list.count)
            guard end < list.count else { break }
            at = end &+ 1
            let text = end &- mark.utf8CodeUnitCount
            guard text > start, HTTPSpan.hasPrefix(list.extracting(text..<end), mark) else { continue }
            let isWeak = start >= copied &+ 2 && HTTPSpan.equal(list.extracting(start &- 2..<start), "W/")
            output.append(list, copied..<start &- (isWeak ? 2 : 0))
            let begin = output.count
            output.append(list, start..<text)
            output.append(quote)
            output.withReadable { restored.append($0, begin..<$0.count) }
            copied = at
        }
        output.append(list, copied..<list.count)
    }

    /// Whether `tag` is one of those that `appendRestored` put into `restored`.
    public static func isRestored(_ tag: borrowing Span<UInt8>, in restored: borrowing Span<UInt8>) -> Bool {
        let quote = UInt8(ascii: "\"")
        var start = 0
        while start < restored.count {
            let end = HTTPSpan.find(quote, in: restored, min(start &+ 1, restored.count)..<restored.count)
            if HTTPSpan.equal(restored.extracting(start..<min(end &+ 1, restored.count)), tag) { return true }
            start = end &+ 1
        }
        return false
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
