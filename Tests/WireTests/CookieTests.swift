import Testing
import Wire

/// What `body` appends, and what it says.
private func appended(_ body: (inout ByteBuffer) -> Bool) -> (said: Bool, text: String) {
    var output = ByteBuffer()
    let said = body(&output)
    return (said, string(output))
}

/// The readable bytes as text.
func string(_ buffer: borrowing ByteBuffer) -> String {
    buffer.withReadable { span in String(decoding: (0..<span.count).map { span[$0] }, as: UTF8.self) }
}

@Suite("the Cookie field")
struct CookieTests {
    @Test(
        "finding one",
        arguments: [
            ("__Host-zlh_s=abc", "abc"), ("a=b; __Host-zlh_s=abc; c=d", "abc"), ("a=b;__Host-zlh_s=abc;c=d", "abc"),
            (" \t__Host-zlh_s=abc \t; c", "abc"), ("__Host-zlh_s=", ""), ("__Host-zlh_s=a=b", "a=b"),
            (";;__Host-zlh_s=x;;", "x"), ("__Host-zlh_g=1; __Host-zlh_s=x", "x"),
        ])
    func one(_ value: String, _ expected: String) {
        let bytes = Array(value.utf8)
        guard case .one(let range) = CookieHeader.find("__Host-zlh_s", in: bytes.span) else {
            Issue.record("not found")
            return
        }
        #expect(text(bytes, range) == expected)
    }

    @Test(
        "finding none",
        arguments: [
            "", ";", "a=b", "__Host-zlh_s", "__Host-zlh_sx=1", "x__Host-zlh_s=1", "__host-zlh_s=1", "a=__Host-zlh_s=1",
            "a=b, __Host-zlh_s=1", "=__Host-zlh_s=1", "__Host-zlh_s =1", "\u{a0}__Host-zlh_s=1", "\"__Host-zlh_s=1",
        ])
    func none(_ value: String) {
        let bytes = Array(value.utf8)
        let found = CookieHeader.find("__Host-zlh_s", in: bytes.span)
        #expect(found == .none)
    }

    @Test(
        "of several none counts",
        arguments: [
            "__Host-zlh_s=a; __Host-zlh_s=a", "__Host-zlh_s=; x=y;__Host-zlh_s=b",
            "__Host-zlh_s=a;__Host-zlh_s=b;__Host-zlh_s=c",
        ])
    func several(_ value: String) {
        let bytes = Array(value.utf8)
        let found = CookieHeader.find("__Host-zlh_s", in: bytes.span)
        #expect(found == .several)
    }

    @Test(
        "ours are cut, the others stay byte for byte",
        arguments: [
            ("a=b; c=d", "a=b; c=d"), ("a=b; __Host-zlh_s=x; c=d", "a=b; c=d"), ("__Host-zlh_s=x; a=b", "a=b"),
            ("a=b; __Host-zlh_s=x", "a=b"), ("__Host-zlh_s=x", ""), ("__Host-zlh=1; __Secure-zlh=2; zlh_x=3", ""),
            ("__Host-zlhfoo=1;a=\"b c\" ;__Secure-zlh_t=2", "a=\"b c\""),
            ("zlh=1; zlhx=2; Zlh_=3", "zlh=1; zlhx=2; Zlh_=3"),
            ("__Host-other=1; __Secure-other=2", "__Host-other=1; __Secure-other=2"),
            ("a=\"x; __Host-zlh_s=y; z\"", "a=\"x; z\""),
            ("__Host-zlh_s", ""), ("zlh_", ""), ("a=b;; c=d;", "a=b; c=d"), ("  a  =  b  ", "a  =  b"), ("", ""),
            ("; ;", ""),
            ("name\u{e9}=v\u{e9}; zlh_a=1", "name\u{e9}=v\u{e9}"),
        ])
    func surgery(_ value: String, _ expected: String) {
        let bytes = Array(value.utf8)
        var output = ByteBuffer()
        let rest = CookieHeader.appendWithoutOurs(bytes.span, to: &output)
        let text = output.withReadable { $0.text() }
        #expect(text == expected)
        #expect((rest == .some) == (rest != .all && !text.isEmpty))
        let after = Array(text.utf8)
        #expect(CookieHeader.appendWithoutOurs(after.span, to: &output) == .all)
    }

    @Test(
        "what is left without ours",
        arguments: [
            ("a=b", .all), ("a=zlh_x", .all), ("zlh_x=1", .nothing), ("a=b; __Host-zlh_s=1", .some),
            ("a=b;__Secure-zlh", .some), ("_zlh_=1; __Host-z=2", .all), ("", .all),
        ] as [(String, CookieHeader.Rest)])
    func rest(_ value: String, _ expected: CookieHeader.Rest) {
        var output = ByteBuffer()
        #expect(CookieHeader.appendWithoutOurs(Array(value.utf8).span, to: &output) == expected)
    }
}

@Suite("the Set-Cookie field")
struct SetCookieTests {
    @Test(
        "names of ours, also of nameless cookies that come back looking like ours",
        arguments: [
            ("__Host-zlh_s=x; Path=/", true), (" \t zlh_a=b", true), ("__Secure-zlh=1", true),
            ("=__Host-zlh_s=x", true),
            (" = __Host-zlh_s=x", true), ("__Host-zlh_s", true), ("zlh_", true), ("a=b; zlh_c=d", false),
            ("a=zlh_", false),
            ("session=1", false), ("__Host-session=1", false), ("", false), ("=", false), (";zlh_a=b", false),
            ("==zlh_a", false),
        ])
    func ours(_ value: String, _ expected: Bool) {
        let bytes = Array(value.utf8)
        let told = SetCookieHeader.isOurs(bytes.span)
        #expect(told == expected)
    }

    @Test(
        "the Domain attribute goes, the rest stays byte for byte",
        arguments: [
            ("a=b", "a=b"), ("a=b; Domain=zerolaghub.dev", "a=b"),
            ("a=b; domain=.zerolaghub.dev; Path=/", "a=b; Path=/"),
            ("a=b;DOMAIN =x;Secure", "a=b;Secure"), ("a=b; Domain", "a=b"),
            ("a=b; Domain=x; Domain=y; HttpOnly", "a=b; HttpOnly"),
            ("a=b; Path=/domain=; Secure", "a=b; Path=/domain=; Secure"), ("Domain=x", "Domain=x"),
            ("a=b; Domains=x", "a=b; Domains=x"),
            ("a=b;\tDomain\t=\tx ; Max-Age=1", "a=b; Max-Age=1"), ("a=b;; Domain=x;", "a=b;;"),
            ("a=domain=x", "a=domain=x"),
        ])
    func domain(_ value: String, _ expected: String) {
        let bytes = Array(value.utf8)
        let result = appended {
            SetCookieHeader.appendWithoutDomain(bytes.span, to: &$0)
            return true
        }
        #expect(result.text == expected)
        let told = SetCookieHeader.hasDomain(bytes.span)
        #expect(told == (expected != value))
        let after = Array(result.text.utf8)
        let left = SetCookieHeader.hasDomain(after.span)
        #expect(!left)
    }
}

@Suite("Clear-Site-Data and lists")
struct ListTests {
    @Test(
        "what a container may clear",
        arguments: [
            ("\"cache\"", "\"cache\""), ("\"cookies\"", ""), ("*", ""), ("cache", ""),
            ("\"*\"", "\"cache\", \"storage\", \"executionContexts\""),
            ("\"storage\",\"cookies\", \"cache\"", "\"cache\", \"storage\""),
            ("\"executionContexts\"", "\"executionContexts\""),
            ("\"storage\", \"executionContexts\"", "\"storage\", \"executionContexts\""),
            ("\"cookies\", \"*\"", "\"cache\", \"storage\", \"executionContexts\""), ("", ""), ("\"Cache\"", ""),
            ("\"cache\", \"cache\"", "\"cache\""),
        ])
    func clearSiteData(_ value: String, _ expected: String) {
        let bytes = Array(value.utf8)
        let result = appended { ClearSiteData.appendAllowed(bytes.span, to: &$0) }
        #expect(result.text == expected)
        #expect(result.said == !expected.isEmpty)
    }

    @Test(
        "members",
        arguments: [
            ("upgrade", true), ("UPGRADE", true), ("keep-alive, Upgrade", true), ("a,\tupgrade\t,b", true),
            (",,upgrade", true),
            ("upgrades", false), ("upgrad", false), ("", false), (",", false), ("up grade", false),
            ("a;upgrade", false),
        ])
    func members(_ value: String, _ expected: Bool) {
        let bytes = Array(value.utf8)
        let found = ListHeader.contains("upgrade", in: bytes.span)
        #expect(found == expected)
    }

    @Test("a walk over members")
    func walk() {
        let bytes = Array(" a , ,b,\tc d\t,,".utf8)
        var members = ListMembers()
        var found: [String] = []
        while let range = members.next(in: bytes.span) { found.append(text(bytes, range)) }
        #expect(found == ["a", "b", "c d"])
    }

    @Test(
        "comparing with literals",
        arguments: [
            ("abc", true, true), ("ABC", false, true), ("abcd", false, false), ("ab", false, false), ("", false, false),
        ])
    func literals(_ value: String, _ same: Bool, _ sameButForCase: Bool) {
        let bytes = Array(value.utf8)
        let other = Array("aBc".utf8)
        let exact = HTTPSpan.equal(bytes.span, "abc")
        let folded = HTTPSpan.equalsIgnoringCase(bytes.span, "abc")
        let foldedSpan = HTTPSpan.equalsIgnoringCase(bytes.span, other.span)
        #expect(exact == same)
        #expect(folded == sameButForCase)
        #expect(foldedSpan == sameButForCase)
    }
}
