/// Questions about a request's path and query, asked of the raw bytes.
public enum RequestTarget {
    /// The value of the first `token` parameter, if it has the shape of a launch token: three base64url parts between
    /// dots, none empty. Any other is the container's own.
    public static func tokenParameter(in query: borrowing Span<UInt8>) -> Range<Int>? {
        var at = 0
        while at <= query.count {
            let end = HTTPSpan.find(UInt8(ascii: "&"), in: query, at..<query.count)
            if let value = tokenValue(query, at..<end) {
                return hasTokenShape(query.extracting(value)) ? value : nil
            }
            at = end &+ 1
        }
        return nil
    }

    /// Appends the query without the parameters that `tokenParameter` would take for a launch token, everything else
    /// byte for byte; false when nothing remains.
    public static func appendQueryWithoutToken(_ query: borrowing Span<UInt8>, to output: inout ByteBuffer) -> Bool {
        let before = output.count
        var first = true
        var at = 0
        while at <= query.count {
            let end = HTTPSpan.find(UInt8(ascii: "&"), in: query, at..<query.count)
            var keep = true
            if let value = tokenValue(query, at..<end) { keep = !hasTokenShape(query.extracting(value)) }
            if keep {
                if !first { output.append(UInt8(ascii: "&")) }
                output.append(query, at..<end)
                first = false
            }
            at = end &+ 1
        }
        return output.count > before
    }

    /// Whether a redirect to `path` stays on this host: it starts with one `/`, and no browser reads the second byte
    /// as another, nor drops a control byte to make it one.
    public static func isSafeNext(_ path: borrowing Span<UInt8>) -> Bool {
        guard path.count > 0, path[0] == UInt8(ascii: "/") else { return false }
        if path.count > 1, path[1] == UInt8(ascii: "/") || path[1] == UInt8(ascii: "\\") { return false }
        return !HTTPSpan.hasControl(path)
    }

    private static func tokenValue(_ query: borrowing Span<UInt8>, _ parameter: Range<Int>) -> Range<Int>? {
        guard HTTPSpan.hasPrefix(query.extracting(parameter), "token=") else { return nil }
        return parameter.lowerBound &+ 6..<parameter.upperBound
    }

    private static func hasTokenShape(_ value: borrowing Span<UInt8>) -> Bool {
        var dots = 0
        var part = 0
        for at in 0..<value.count {
            let byte = value[at]
            if byte == UInt8(ascii: ".") {
                guard part > 0 else { return false }
                dots &+= 1
                part = 0
            } else {
                guard Byte.isLetter(byte) || Byte.isDigit(byte) || byte == 0x2d || byte == 0x5f else { return false }
                part &+= 1
            }
        }
        return dots == 2 && part > 0
    }
}
