/// The `Set-Cookie` field of a container (RFC 6265 section 4.1).
public enum SetCookieHeader {
    /// Whether it would set a cookie of ours in some browser: one with our names, or a nameless one (`=__Host-zlh…`,
    /// or without `=`) that is sent back looking like ours.
    public static func isOurs(_ value: borrowing Span<UInt8>) -> Bool {
        let semicolon = HTTPSpan.find(UInt8(ascii: ";"), in: value, 0..<value.count)
        var pair = HTTPSpan.trimmed(value, 0..<semicolon)
        if !pair.isEmpty, value[pair.lowerBound] == UInt8(ascii: "=") {
            pair = HTTPSpan.trimmed(value, pair.lowerBound &+ 1..<pair.upperBound)
        }
        return CookieHeader.isOurs(value.extracting(pair))
    }

    /// Whether it has a `Domain` attribute, which would show the cookie to neighbours.
    public static func hasDomain(_ value: borrowing Span<UInt8>) -> Bool {
        var at = HTTPSpan.find(UInt8(ascii: ";"), in: value, 0..<value.count)
        while at < value.count {
            let end = HTTPSpan.find(UInt8(ascii: ";"), in: value, at &+ 1..<value.count)
            if isDomain(value, at &+ 1..<end) { return true }
            at = end
        }
        return false
    }

    /// Appends all but the `Domain` attributes, byte for byte.
    public static func appendWithoutDomain(_ value: borrowing Span<UInt8>, to output: inout ByteBuffer) {
        var at = HTTPSpan.find(UInt8(ascii: ";"), in: value, 0..<value.count)
        output.append(value, 0..<at)
        while at < value.count {
            let end = HTTPSpan.find(UInt8(ascii: ";"), in: value, at &+ 1..<value.count)
            if !isDomain(value, at &+ 1..<end) { output.append(value, at..<end) }
            at = end
        }
    }

    private static func isDomain(_ value: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        let equals = HTTPSpan.find(UInt8(ascii: "="), in: value, range)
        let name = HTTPSpan.trimmed(value, range.lowerBound..<equals)
        return HTTPSpan.equalsIgnoringCase(value.extracting(name), "domain")
    }
}
