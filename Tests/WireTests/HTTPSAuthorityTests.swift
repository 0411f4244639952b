import Testing
import Wire

@Suite struct HTTPSAuthorityTests {
    @Test(
        arguments: [
            ("a.example", "a.example", true), ("a.example:443", "a.example", true),
            ("a.example", "A.example:443", true),
            ("a.example:0443", "a.example", true), ("a.example:8443", "a.example:8443", true),
            ("a.example:8443", "a.example", false), ("a.example:1443", "a.example", false),
            ("a.example:4430", "a.example", false), ("a.example443", "a.example", false), (":443", "", false),
            ("443", "443", true), ("443", "", false), ("b.example", "a.example", false), ("[::443]", "[::443]", true),
            ("[::1]:443", "[::1]", true), ("000443", "000443", true), ("", "", true),
        ])
    func agreement(_ a: String, _ b: String, _ expected: Bool) {
        let (a, b) = (Array(a.utf8), Array(b.utf8))
        let (there, back) = (HTTPSAuthority.equal(a.span, b.span), HTTPSAuthority.equal(b.span, a.span))
        #expect(there == expected && back == expected)
    }

    @Test func anOriginIsInLowerCase() {
        let (lower, upper) = (Array("a.example".utf8), Array("A.Example:443".utf8))
        let isLower = HTTPSAuthority.equal(origin: lower.span, upper.span)
        let isUpper = HTTPSAuthority.equal(origin: upper.span, lower.span)
        #expect(isLower && !isUpper)
    }
}
