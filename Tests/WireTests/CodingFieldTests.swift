import Testing

@testable import Wire

/// Parses an answer's field lines and lends them.
func withFields(_ lines: String, _ body: (borrowing Span<UInt8>, HeadFields) throws -> Void) throws {
    let bytes = Array("HTTP/1.1 200 OK\r\n\(lines)\r\n".utf8)
    let fields = HeadFields(capacity: 50)
    var scan = HeadScan()
    let outcome = HTTP1.parseResponseHead(bytes.span, scan: &scan, into: fields, answering: .get, upgraded: false)
    guard case .complete = outcome else {
        Issue.record("not a head: \(lines)")
        return
    }
    try body(bytes.span, fields)
}

@Suite("fields that compression depends on")
struct CodingFieldTests {
    @Test(
        "the kinds of Content-Type",
        arguments: [
            ("text/css", .asset), ("TEXT/CSS; charset=utf-8", .asset), ("text/javascript;charset=utf-8", .asset),
            ("application/javascript", .asset), ("application/x-javascript", .asset), ("application/wasm", .asset),
            ("text/ecmascript", .asset), ("application/ecmascript", .asset), ("text/x-javascript", .asset),
            ("image/svg+xml", .text), ("font/ttf", .asset), ("font/otf", .asset), ("font/sfnt", .asset),
            ("application/x-font-ttf", .asset), ("application/x-font-otf", .asset),
            ("application/vnd.ms-fontobject", .asset), ("application/manifest+json", .text),
            ("text/html", .text), (" text/plain ; x=y", .text), ("Text/Markdown", .text), ("application/json", .text),
            ("application/ld+json", .text), ("application/xml", .text), ("application/atom+xml", .text),
            ("model/x3d+XML", .text), ("text/x", .text), ("text/event-streams", .text),
            ("text/event-stream", .other), ("Text/Event-Stream;charset=utf-8", .other), ("font/woff2", .other),
            ("font/woff", .other), ("image/png", .other), ("video/mp4", .other), ("application/octet-stream", .other),
            ("application/zip", .other), ("application/gzip", .other), ("application/grpc+proto", .other),
            ("multipart/x-mixed-replace", .other), ("application/jsonx", .other), ("application/xjson", .other),
            ("", .other), ("text", .other), ("text/", .other), ("/css", .other), ("/", .other), ("text/;css", .other),
            ("+json", .other), ("text /html", .other), ("text/html, text/css", .other), ("text/css/x", .other),
            ("text/css charset=utf-8", .other), ("text/\u{e9}", .other), (";text/css", .other), ("a/+json", .text),
        ] as [(String, ContentType)])
    func contentType(_ text: String, _ kind: ContentType) {
        #expect(ContentType(Array(text.utf8).span) == kind)
    }

    @Test(
        "no-transform",
        arguments: [
            ("", false), ("Cache-Control: public, max-age=1\r\n", false), ("Cache-Control: no-transform\r\n", true),
            ("Cache-Control: max-age=1,No-Transform\r\n", true), ("Cache-Control: no-transformed\r\n", false),
            ("Cache-Control: private\r\ncache-control: no-store , no-transform\r\n", true),
            ("X-Cache-Control: no-transform\r\n", false),
        ])
    func noTransform(_ lines: String, _ expected: Bool) throws {
        try withFields(lines) { bytes, fields in #expect(CacheControl.forbidsTransform(bytes, fields) == expected) }
    }

    @Test(
        "the ETag of coded content",
        arguments: [
            ("\"abc\"", "W/\"abc-zlhgz\""), ("\"\"", "W/\"-zlhgz\""), ("W/\"abc\"", "W/\"abc\""), ("W/\"\"", "W/\"\""),
            ("\"a\u{e9}!#'\"", "W/\"a\u{e9}!#'-zlhgz\""), ("\"a-zlhgz\"", "W/\"a-zlhgz-zlhgz\""),
            ("", nil), ("abc", nil), ("\"", nil), ("\"abc", nil), ("abc\"", nil), ("W/", nil), ("W/abc", nil),
            ("W/\"", nil), ("w/\"abc\"", nil), ("\"a\"b\"", nil), ("\"a b\"", nil), ("\"a\", \"b\"", nil),
            ("W/W/\"a\"", nil), ("\"a\tb\"", nil), ("W/ \"a\"", nil),
        ] as [(String, String?)])
    func codedTag(_ text: String, _ expected: String?) {
        var output = ByteBuffer()
        let isTag = EntityTag.appendCoded(Array(text.utf8).span, to: &output)
        #expect(isTag == (expected != nil))
        #expect(output.withReadable { $0.text() } == expected ?? "")
    }

    @Test(
        "entity tags restored",
        arguments: [
            ("W/\"a-zlhgz\"", "\"a\"", "\"a\""), ("\"a-zlhgz\"", "\"a\"", "\"a\""), ("W/\"-zlhgz\"", "\"\"", "\"\""),
            ("W/\"a-zlhgz\", \"b\",W/\"c-zlhgz\"", "\"a\", \"b\",\"c\"", "\"a\"\"c\""),
            ("\"b\" W/\"a-zlhgz-zlhgz\"x", "\"b\" \"a-zlhgz\"x", "\"a-zlhgz\""),
            ("", "", ""), ("*", "*", ""), ("\"a\"", "\"a\"", ""), ("W/\"a\"", "W/\"a\"", ""), ("-zlhgz", "-zlhgz", ""),
            ("-zlhgz\"", "-zlhgz\"", ""), ("\"a-zlhgz", "\"a-zlhgz", ""), ("\"a-zlhgz \"", "\"a-zlhgz \"", ""),
            ("\"", "\"", ""), ("\"\"-zlhgz\"", "\"\"-zlhgz\"", ""), ("W/W/\"a-zlhgz\"", "W/\"a\"", "\"a\""),
        ])
    func restoredTags(_ list: String, _ expected: String, _ restored: String) {
        let list = Array(list.utf8)
        var output = ByteBuffer()
        var found = ByteBuffer()
        EntityTag.appendRestored(list.span, to: &output, restored: &found)
        #expect(output.withReadable { $0.text() } == expected)
        #expect(found.withReadable { $0.text() } == restored)
        let holdsMark = EntityTag.holdsMark(list.span)
        #expect(holdsMark || restored.isEmpty)
    }

    @Test func whichTagsWereRestored() {
        let restored = Array("\"a\"\"b,c\"\"\"".utf8)
        for (tag, expected) in [
            ("\"a\"", true), ("\"b,c\"", true), ("\"\"", true), ("\"b\"", false), ("W/\"a\"", false), ("", false),
            ("a", false),
        ] {
            let (tag, isRestored) = (Array(tag.utf8), EntityTag.isRestored(Array(tag.utf8).span, in: restored.span))
            #expect(isRestored == expected, "\(tag)")
        }
        let isInNone = EntityTag.isRestored(restored.span, in: [UInt8]().span)
        #expect(!isInNone)
    }

    @Test(
        "Vary that lacks Accept-Encoding",
        arguments: [
            ("", true), ("Vary: Origin\r\n", true), ("Vary: accept-encoding\r\n", false), ("Vary: *\r\n", false),
            ("Vary: Origin, Accept-Encoding\r\n", false), ("Vary: Origin\r\nVary: , Accept-Encoding ,\r\n", false),
            ("Vary: Origin\r\nvary: Cookie, *\r\n", false), ("Vary: Accept\r\n", true),
            ("Vary: X-Accept-Encoding\r\n", true), ("Vary:\r\n", true), ("Vary: **\r\n", true),
        ])
    func vary(_ lines: String, _ expected: Bool) throws {
        try withFields(lines) { bytes, fields in #expect(VaryHeader.lacksAcceptEncoding(bytes, fields) == expected) }
    }
}
