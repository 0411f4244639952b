/// Comparing `host[:port]` where the scheme is `https`: port 443 and none are the same (RFC 9110 section 4.2.2).
public enum HTTPSAuthority {
    /// Whether both name the same host and port.
    public static func equal(_ a: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
        HTTPSpan.equalsIgnoringCase(a.extracting(significant(a)), b.extracting(significant(b)))
    }

    /// The same where `origin`, which browsers write in lower case (RFC 6454 section 6.2), must be so.
    public static func equal(origin: borrowing Span<UInt8>, _ b: borrowing Span<UInt8>) -> Bool {
        HTTPSpan.equal(origin.extracting(significant(origin)), lowercasing: b.extracting(significant(b)))
    }

    /// All but a port that says what none would.
    private static func significant(_ authority: borrowing Span<UInt8>) -> Range<Int> {
        let count = authority.count
        guard count > 4, HTTPSpan.equal(authority.extracting(count &- 3..<count), "443") else { return 0..<count }
        var at = count &- 4
        while at > 0, authority[at] == UInt8(ascii: "0") { at &-= 1 }
        return at > 0 && authority[at] == UInt8(ascii: ":") ? 0..<at : 0..<count
    }
}
