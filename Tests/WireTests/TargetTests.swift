import Testing
import Wire

@Suite("targets, queries and forms")
struct TargetTests {
    @Test(
        "launch tokens in a query",
        arguments: [
            ("token=a.b.c", "a.b.c"), ("x=1&token=aA0-_.b.c&y=2", "aA0-_.b.c"), ("token=a.b.c&token=d.e.f", "a.b.c"),
            ("&&token=a.b.c", "a.b.c"),
            ("", nil), ("token", nil), ("token=", nil), ("token=abc", nil), ("token=a.b", nil), ("token=a.b.c.d", nil),
            ("token=.b.c", nil), ("token=a..c", nil), ("token=a.b.", nil), ("token=a.b.c%20", nil),
            ("token=a.b.c=", nil),
            ("Token=a.b.c", nil), ("xtoken=a.b.c", nil), ("token=x&token=a.b.c", nil), ("to%6ben=a.b.c", nil),
            ("token=a.b.c;x", nil),
        ])
    func token(_ query: String, _ expected: String?) {
        let bytes = Array(query.utf8)
        let range = RequestTarget.tokenParameter(in: bytes.span)
        #expect(range.map { text(bytes, $0) } == expected)
    }

    @Test(
        "the query without it",
        arguments: [
            ("token=a.b.c", ""), ("token=a.b.c&x=1", "x=1"), ("x=1&token=a.b.c", "x=1"),
            ("x=1&token=a.b.c&y=%2f", "x=1&y=%2f"),
            ("x=1&&y", "x=1&&y"), ("token=abc&x", "token=abc&x"), ("token=a.b.c&token=d.e.f", ""),
            ("token=a.b.c&token=d", "token=d"), ("", ""),
        ])
    func without(_ query: String, _ expected: String) {
        let bytes = Array(query.utf8)
        var output = ByteBuffer()
        let said = RequestTarget.appendQueryWithoutToken(bytes.span, to: &output)
        #expect(string(output) == expected)
        #expect(said == !expected.isEmpty)
    }

    @Test(
        "where a redirect may go",
        arguments: [
            ("/", true), ("/a", true), ("/a//b", true), ("/?x=//y", true), ("/é", true),
            ("", false), ("a", false), ("//a", false), ("/\\a", false), ("\\/a", false), ("/\t/a", false),
            ("/a\r\nX: y", false),
            ("/\u{0}", false), ("/a\u{7f}", false), ("https://x", false), (" /a", false),
        ])
    func next(_ path: String, _ expected: Bool) {
        let bytes = Array(path.utf8)
        let safe = RequestTarget.isSafeNext(bytes.span)
        #expect(safe == expected)
    }

    @Test("percent-encoding there and back", arguments: [[UInt8](), [UInt8](0...255), Array("a b/ü~".utf8)])
    func percent(_ bytes: [UInt8]) {
        var encoded = ByteBuffer()
        PercentCoding.encode(bytes.span, into: &encoded)
        let text = Array(string(encoded).utf8)
        #expect(text.allSatisfy { $0 > 0x20 && $0 < 0x7f })
        var decoded = ByteBuffer()
        let good = PercentCoding.decode(text.span, plusAsSpace: false, into: &decoded)
        #expect(good)
        let back = decoded.withReadable { span in (0..<span.count).map { span[$0] } }
        #expect(back == bytes)
    }

    @Test("percent-encoding of reserved characters")
    func reserved() {
        var output = ByteBuffer()
        let bytes = Array("a/b?c=d&e f+~-._".utf8)
        PercentCoding.encode(bytes.span, into: &output)
        #expect(string(output) == "a%2Fb%3Fc%3Dd%26e%20f%2B~-._")
    }

    @Test(
        "a Location is ASCII and otherwise as it was",
        arguments: [
            ("/a%2f?b=c&d#e", "/a%2f?b=c&d#e"), ("/é x", "/%C3%A9%20x"), ("/\u{7f}\t", "/%7F%09"), ("", ""),
        ])
    func location(_ path: String, _ expected: String) {
        let bytes = Array(path.utf8)
        var output = ByteBuffer()
        PercentCoding.encodeTarget(bytes.span, into: &output)
        #expect(string(output) == expected)
    }

    @Test("broken percent-encoding appends nothing", arguments: ["%", "a%", "a%4", "%4g", "%g4", "ab%%41", "a%4%41"])
    func broken(_ value: String) {
        let bytes = Array(value.utf8)
        var output = ByteBuffer()
        output.append("kept")
        let good = PercentCoding.decode(bytes.span, plusAsSpace: true, into: &output)
        #expect(!good)
        #expect(string(output) == "kept")
    }

    @Test(
        "form fields",
        arguments: [
            ("token=abc", "abc"), ("next=%2Fa%3Fb&token=a%2eb.c+d", "a.b.c d"), ("token=1&token=2", "1"), ("token", ""),
            ("token=", ""),
            ("x&token&y", ""), ("tokens=1", nil), ("", nil), ("xtoken=1", nil), ("token=%zz", nil), ("a=b", nil),
        ])
    func form(_ body: String, _ expected: String?) {
        let bytes = Array(body.utf8)
        var output = ByteBuffer()
        let found = FormBody.value(of: "token", in: bytes.span, into: &output)
        #expect((found ? string(output) : nil) == expected)
    }
}

@Suite("base64")
struct Base64Tests {
    /// RFC 4648 section 10.
    @Test(
        "vectors",
        arguments: [
            ("", "", ""), ("f", "Zg==", "Zg"), ("fo", "Zm8=", "Zm8"), ("foo", "Zm9v", "Zm9v"),
            ("foob", "Zm9vYg==", "Zm9vYg"),
            ("fooba", "Zm9vYmE=", "Zm9vYmE"), ("foobar", "Zm9vYmFy", "Zm9vYmFy"), ("???>>>", "Pz8/Pj4+", "Pz8_Pj4-"),
        ])
    func vectors(_ plain: String, _ standard: String, _ url: String) {
        let bytes = Array(plain.utf8)
        var output = ByteBuffer()
        Base64.encode(bytes.span, into: &output)
        #expect(string(output) == standard)
        #expect(Base64URL.encode(bytes) == url)
        #expect(Base64URL.decode(url) == bytes)
    }

    @Test("all lengths and bytes there and back", arguments: 0..<70)
    func roundTrip(_ count: Int) {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 151 &+ count &* 7) }
        #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
    }

    @Test(
        "what is not canonical is refused",
        arguments: ["Zg==", "Zg=", "Z", "Zh", "Zm9", "Zm9vY", "Zm+v", "Zm/v", "Zm 9v", "Zm9v\n", "Zm9é", "Zm9vYh"])
    func refused(_ text: String) {
        #expect(Base64URL.decode(text) == nil)
    }

    @Test("the last character's unused bits must be zero")
    func unusedBits() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        #expect(alphabet.filter { Base64URL.decode("A\($0)") != nil } == "AQgw")
        #expect(alphabet.filter { Base64URL.decode("AA\($0)") != nil }.count == 16)
    }

    @Test(
        "sixteen bytes",
        arguments: [
            ("dGhlIHNhbXBsZSBub25jZQ==", true), ("AAAAAAAAAAAAAAAAAAAAAA==", true), ("dGhlIHNhbXBsZSBub25jZR==", false),
            ("dGhlIHNhbXBsZSBub25jZQ=", false), ("dGhlIHNhbXBsZSBub25jZQ", false), ("dGhlIHNhbXBsZSBub25jZQ= ", false),
            ("dGhlIHNhbXBsZSBub25jZQA=", false), ("dGhlIHNhbXBsZSBub25j_Q==", false), ("", false),
            ("dGhlIHNhbXBsZSBub25jZXh4eHg=", false), ("========================", false),
        ])
    func sixteen(_ text: String, _ expected: Bool) {
        let fields = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        let verdict = request("GET / HTTP/1.1\r\nHost: a\r\n\(fields)Sec-WebSocket-Key: \(text)\r\n\r\n")
        #expect(verdict.text.contains("ws=\(text.hasSuffix(" ") ? false : expected)"))
    }
}
