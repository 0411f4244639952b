import Testing

@testable import Wire

@Suite("field names")
struct FieldNameTests {
    static let known: [(String, FieldName)] = [
        ("Host", .host), ("Connection", .connection), ("Keep-Alive", .keepAlive),
        ("Proxy-Connection", .proxyConnection), ("TE", .te), ("Trailer", .trailer),
        ("Transfer-Encoding", .transferEncoding), ("Upgrade", .upgrade), ("Content-Length", .contentLength),
        ("Expect", .expect), ("Cookie", .cookie), ("Set-Cookie", .setCookie), ("Authorization", .authorization),
        ("Origin", .origin), ("Accept", .accept), ("Accept-Encoding", .acceptEncoding), ("Range", .range),
        ("Sec-Fetch-Site", .secFetchSite), ("Sec-Fetch-Mode", .secFetchMode), ("Sec-Fetch-Dest", .secFetchDest),
        ("Purpose", .purpose), ("Sec-Purpose", .secPurpose), ("Sec-WebSocket-Key", .secWebSocketKey),
        ("Sec-WebSocket-Version", .secWebSocketVersion), ("Sec-WebSocket-Accept", .secWebSocketAccept),
        ("Sec-WebSocket-Protocol", .secWebSocketProtocol), ("Sec-WebSocket-Extensions", .secWebSocketExtensions),
        ("HTTP2-Settings", .http2Settings), ("Forwarded", .forwarded), ("X-Real-IP", .xRealIP),
        ("X-ZLH-Token", .xZLHToken), ("X-Request-Id", .xRequestID), ("Clear-Site-Data", .clearSiteData),
        ("Alt-Svc", .altSvc), ("Strict-Transport-Security", .strictTransportSecurity),
        ("Public-Key-Pins", .publicKeyPins), ("Public-Key-Pins-Report-Only", .publicKeyPins),
        ("Content-Type", .contentType), ("Content-Encoding", .contentEncoding), ("Cache-Control", .cacheControl),
        ("ETag", .etag), ("Vary", .vary), ("Date", .date), ("Server", .server), ("Location", .location),
        ("Content-Security-Policy", .contentSecurityPolicy), ("Referer", .referer), ("User-Agent", .userAgent),
        ("Accept-Ranges", .acceptRanges), ("Content-Range", .contentRange), ("Digest", .digest),
        ("Content-Digest", .digest), ("Repr-Digest", .digest), ("Content-MD5", .digest), ("If-Match", .ifMatch),
        ("If-None-Match", .ifMatch),
    ]

    static let families: [(String, FieldName)] = [
        ("X-Forwarded-For", .xForwarded), ("X-Forwarded-", .xForwarded), ("X-Forwarded-Tls-Client-Cert", .xForwarded),
        ("X-Forwarded", .other), ("X-Forwardedx", .other), ("X-Original-URL", .xOriginal), ("X-Original-", .xOriginal),
        ("X-Original", .other), ("X-Originals", .other), ("X-Rewrite-URL", .xRewrite), ("X-Rewrite-", .xRewrite),
        ("X-Rewrite", .other), ("X-Rewrites", .other), ("Proxy", .proxy), ("Proxy-Authorization", .proxy),
        ("ProxyFoo", .proxy), ("Prox", .other), ("X-ZLH-", .xZLH), ("X-ZLH-User", .xZLH), ("X-ZLH-Tokens", .xZLH),
        ("X-ZLH", .other), ("X-ZLHx", .other), ("X-Forwarded-!", .xForwarded), ("Proxy.x", .proxy), ("X", .other),
        ("X-", .other), ("Content_Length", .underscore), ("X-Forwarded_For", .underscore), ("_", .underscore),
        ("Proxy_Connection", .underscore), ("Accept-Language", .other), ("A", .other), ("P", .other),
        ("Content-Security-Policy-Report-Only", .other), (String(repeating: "a", count: 300), .other),
        (String(repeating: "a", count: 299) + "_", .underscore),
    ]

    @Test("each is told in any case", arguments: known + families)
    func recognised(_ text: String, _ name: FieldName) {
        for spelling in [text, text.lowercased(), text.uppercased()] {
            #expect(told(Array(spelling.utf8)) == name)
            #expect(inHead(spelling) == name)
        }
    }

    @Test("every case has a name in these tables")
    func complete() {
        let told = Set((Self.known + Self.families).map(\.1))
        #expect(told == Set(FieldName.allCases))
        #expect(FieldName.allCases.count <= 64, "the table keeps one bit for each in a word")
    }

    @Test("one byte changed makes another name", arguments: known)
    func nearMisses(_ text: String, _ name: FieldName) {
        let bytes = Array(text.utf8)
        for place in bytes.indices {
            for change: UInt8 in [0x20, 0x40, 0x01, 0x10, 0x80] {
                var other = bytes
                other[place] ^= change
                let isSameLetter = change == 0x20 && Byte.isLetter(bytes[place])
                #expect((told(other) == name) == isSameLetter, "\(String(decoding: other, as: UTF8.self))")
            }
        }
        #expect(told(Array(bytes.dropLast())) != name || name == .proxy)
        #expect(told(bytes + [0x61]) != name)
    }

    @Test(
        "tokens", arguments: [("", false), ("a", true), ("a b", false), ("a:", false), ("a\u{0}", false), ("é", false)])
    func tokens(_ text: String, _ isToken: Bool) {
        let bytes = Array(text.utf8)
        let told = FieldName.isToken(bytes.span)
        #expect(told == isToken)
    }

    private func told(_ bytes: [UInt8]) -> FieldName { FieldName(recognising: bytes.span) }

    private func inHead(_ name: String) -> FieldName? {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\n\(name): b\r\n\r\n".utf8)
        let fields = HeadFields(capacity: 4)
        var scan = HeadScan()
        _ = HTTP1.parseRequestHead(bytes.span, scan: &scan, into: fields)
        return fields.count == 2 ? fields[1].name : nil
    }
}

@Suite("the table of fields")
struct HeadFieldsTests {
    @Test("looking up by name")
    func lookUp() {
        let fields = HeadFields(capacity: 8)
        var scan = HeadScan()
        let bytes = Array(
            "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nCookie: b\r\nX: 2\r\nCookie: c\r\nCookie: d\r\n\r\n".utf8)
        _ = HTTP1.parseRequestHead(bytes.span, scan: &scan, into: fields)
        #expect(fields.count == 6)
        #expect(fields.contains(.cookie) && fields.contains(.other) && !fields.contains(.origin))
        #expect(fields.count(of: .cookie) == 3)
        #expect(fields.count(of: .host) == 1)
        #expect(fields.count(of: .origin) == 0)
        #expect(fields.repeats(.cookie) && !fields.repeats(.host))
        #expect(fields.first(.cookie).map { text(bytes, $0.lineRange) } == "Cookie: b\r\n")
        #expect(fields.first(.origin) == nil)
        fields.removeAll()
        #expect(fields.count == 0)
        #expect(!fields.contains(.cookie))
        #expect(fields.first(.cookie) == nil)
    }

    @Test("a line takes at most twenty bytes")
    func size() {
        #expect(MemoryLayout<HeadField>.stride <= 20)
    }
}

@Suite("searching sixteen bytes at a time")
struct ByteSearchTests {
    @Test("finds what a plain loop finds, at every offset and length")
    func everywhere() {
        var state: UInt64 = 0x9e37_79b9_7f4a_7c15
        for _ in 0..<300 {
            let bytes = (0..<70).map { _ -> UInt8 in
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                let byte = UInt8(truncatingIfNeeded: state >> 33)
                return state >> 60 == 0 ? byte : byte & 15 | 0x60
            }
            for start in stride(from: 0, through: 70, by: 3) {
                for end in [start, min(start + 5, 70), min(start + 16, 70), min(start + 21, 70), 70] {
                    for kind in Self.kinds {
                        let expected = (start..<end).first { Self.isHit(kind, bytes[$0]) } ?? end
                        let found = ByteSearch.first(kind, bytes.span, start, end)
                        #expect(found == expected)
                    }
                }
            }
        }
    }

    private static let kinds: [ByteSearch.Kind] = [
        .control, .colonOrControl, .notTarget, .notPlainName, .notSmallName, .byte(0x65),
    ]

    private static func isHit(_ kind: ByteSearch.Kind, _ byte: UInt8) -> Bool {
        switch kind {
        case .control: byte < 0x20 || byte == 0x7f
        case .colonOrControl: byte < 0x20 || byte == 0x3a || byte == 0x7f
        case .notTarget: byte <= 0x20 || byte >= 0x7f || byte == 0x23
        case .notPlainName: !Byte.isLetter(byte) && !Byte.isDigit(byte) && byte != 0x2d
        case .notSmallName: !(0x61...0x7a).contains(byte) && !Byte.isDigit(byte) && byte != 0x2d
        case .byte(let wanted): byte == wanted
        }
    }

    @Test("each byte is told alike by vector and loop", arguments: [UInt8](0...255))
    func eachByte(_ byte: UInt8) {
        for place in 0..<15 {
            var long = [UInt8](repeating: 0x61, count: 32)
            long[place] = byte
            let short = Array(long[..<15])
            for kind in Self.kinds {
                let expected = Self.isHit(kind, 0x61) ? 0 : Self.isHit(kind, byte) ? place : nil
                let inLong = ByteSearch.first(kind, long.span, 0, 32)
                let inShort = ByteSearch.first(kind, short.span, 0, 15)
                #expect(inLong == expected ?? 32)
                #expect(inShort == expected ?? 15)
            }
        }
    }
}
