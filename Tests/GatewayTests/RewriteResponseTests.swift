import Testing
import Wire

@testable import Gateway

/// What the browser is sent of a container's answer, to the byte.
@Suite struct RewriteResponseTests {
    private func rewritten(
        _ bytes: [UInt8], framing: AnswerFraming = .length, coding: Coding = .identity, connection: StaticString? = nil,
        hsts: Bool = true,
        keepsLength: Bool = true, keepsTrailerField: Bool = false, codesTag: Bool = false, date: Bool = false
    ) throws -> [String] {
        var out = ByteBuffer()
        try withAnswer(bytes) { head, bytes, fields in
            try rewriteResponse(
                head, bytes, fields,
                AnswerFacts(
                    id: requestID, framing: framing, coding: coding, connection: connection, sendsHSTS: hsts,
                    keepsLength: keepsLength, keepsTrailerField: keepsTrailerField, codesTag: codesTag,
                    epochSeconds: 784_111_777), into: &out)
        }
        return lines(out).filter { date || $0 != Self.date }
    }

    private static let date = "Date: Sun, 06 Nov 1994 08:49:37 GMT"

    @Test func anAnswerWithoutADateGetsOne() throws {
        #expect(try rewritten(wire(["HTTP/1.1 200 OK", "Content-Length: 0"]), date: true).contains(Self.date))
        let dated = wire(["HTTP/1.1 200 OK", "Content-Length: 0", "Date: yesterday", "Connection: Date"])
        #expect(try rewritten(dated, date: true).filter { $0.hasPrefix("Date") } == ["Date: yesterday"])
    }

    @Test func notModifiedNamesTheTagThatTheClientKnows() throws {
        let answer = wire(["HTTP/1.1 304 Not Modified", "ETag: \"a\""])
        let sent = try rewritten(answer, framing: .none, keepsLength: false, codesTag: true)
        #expect(sent.contains("ETag: W/\"a-zlhgz\"") && sent.contains("Vary: Accept-Encoding"))
    }

    private static let ours = [
        "Strict-Transport-Security: max-age=31536000", "X-Request-Id: \(requestIDText)",
        "Content-Security-Policy: frame-ancestors 'self'", "",
    ]

    /// Fields received and fields that stay, in order.
    @Test(
        arguments: [
            (
                ["Content-Length: 2", "Server: x", "ETag:  \"a\" "],
                ["Content-Length: 2", "Server: x", "ETag:  \"a\" "]
            ),
            (
                ["Content-Length: 0", "Connection: close", "Keep-Alive: 5", "Proxy-Authenticate: x"],
                ["Content-Length: 0"]
            ),
            (["Content-Length: 0", "Connection: X-Hop", "x-hop: 1", "A: 1"], ["Content-Length: 0", "A: 1"]),
            (
                [
                    "Content-Length: 0", "Alt-Svc: h3=\":1\"", "Strict-Transport-Security: max-age=0",
                    "Public-Key-Pins: x",
                    "Public-Key-Pins-Report-Only: x", "X-Request-Id: theirs", "Upgrade: h2c",
                ], ["Content-Length: 0"]
            ),
            (
                ["Content-Length: 0", "Content-Security-Policy: frame-ancestors *"],
                ["Content-Length: 0", "Content-Security-Policy: frame-ancestors *"]
            ),
            (["Content-Length: 0", "Set-Cookie: a=1; Path=/"], ["Content-Length: 0", "Set-Cookie: a=1; Path=/"]),
            (
                ["Content-Length: 0", "set-cookie: a=1; Domain=.example.test; Path=/", "B: 1"],
                ["Content-Length: 0", "Set-Cookie: a=1; Path=/", "B: 1"]
            ),
            (
                [
                    "Content-Length: 0", "Set-Cookie: __Host-zlh_s=x", "Set-Cookie: zlh_a=1; domain=x",
                    "Set-Cookie: =zlh_s=1",
                    "Set-Cookie: __Secure-zlh_z", "B: 1",
                ], ["Content-Length: 0", "B: 1"]
            ),
            (["Content-Length: 0", "Clear-Site-Data: \"cookies\"", "B: 1"], ["Content-Length: 0", "B: 1"]),
            (
                ["Content-Length: 0", "Clear-Site-Data: \"cache\", \"cookies\""],
                ["Content-Length: 0", "Clear-Site-Data: \"cache\""]
            ),
            (
                ["Content-Length: 0", "Clear-Site-Data: \"*\""],
                ["Content-Length: 0", "Clear-Site-Data: \"cache\", \"storage\", \"executionContexts\""]
            ),
            (["Content-Length: 0", "Trailer: X"], ["Content-Length: 0"]),
        ] as [([String], [String])])
    func golden(received: [String], sent: [String]) throws {
        #expect(try rewritten(wire(["HTTP/1.1 200 OK"] + received)) == ["HTTP/1.1 200 OK"] + sent + Self.ours)
    }

    @Test func framingIsOurs() throws {
        let chunked = wire(["HTTP/1.1 200 Fine by me", "Transfer-Encoding: chunked", "A: 1"])
        #expect(
            try rewritten(chunked, framing: .chunked, keepsLength: false)
                == ["HTTP/1.1 200 Fine by me", "A: 1", "Transfer-Encoding: chunked"] + Self.ours)
        #expect(
            try rewritten(chunked, framing: .untilClose, connection: "close", keepsLength: false)
                == ["HTTP/1.1 200 Fine by me", "A: 1", "Connection: close"] + Self.ours)
        let old = wire(["HTTP/1.0 404", "A: 1"])
        #expect(
            try rewritten(old, framing: .chunked, hsts: false, keepsLength: false)
                == ["HTTP/1.1 404 ", "A: 1", "Transfer-Encoding: chunked"] + Self.ours.dropFirst())
        let trailers = wire(["HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X"])
        #expect(
            try rewritten(trailers, framing: .chunked, keepsLength: false, keepsTrailerField: true)
                == ["HTTP/1.1 200 OK", "Trailer: X", "Transfer-Encoding: chunked"] + Self.ours)
    }

    /// Fields received, and what a coding makes of them.
    @Test(
        arguments: [
            (.gzip, ["A: 1", "Content-Length: 5000"], ["A: 1", "Content-Encoding: gzip", "Vary: Accept-Encoding"]),
            (
                .gzip,
                ["Content-Length: 5000", "Accept-Ranges: bytes", "Content-Encoding: identity", "Vary: Cookie", "A: 1"],
                ["Vary: Cookie", "A: 1", "Content-Encoding: gzip", "Vary: Accept-Encoding"]
            ),
            (.gzip, ["Vary: Cookie, ACCEPT-encoding"], ["Vary: Cookie, ACCEPT-encoding", "Content-Encoding: gzip"]),
            (.gzip, ["Vary: *"], ["Vary: *", "Content-Encoding: gzip"]),
            (
                .gzip, ["B: 1", "ETag: \"a\"", "Vary: *", "etag: W/\"b\""],
                ["B: 1", "ETag: W/\"a-zlhgz\"", "Vary: *", "ETag: W/\"b\"", "Content-Encoding: gzip"]
            ),
            // No tags: what a client would make of them is unknown.
            (.gzip, ["ETag: a", "ETag:", "ETag: w/\"a\"", "Vary: *"], ["Vary: *", "Content-Encoding: gzip"]),
            (.gzip, ["Connection: ETag", "ETag: \"a\"", "Vary: *"], ["Vary: *", "Content-Encoding: gzip"]),
            (
                .identityVaries, ["ETag: \"a\"", "Content-Length: 5000", "Accept-Ranges: bytes", "A: 1"],
                ["ETag: \"a\"", "Content-Length: 5000", "Accept-Ranges: bytes", "A: 1", "Vary: Accept-Encoding"]
            ),
            (.identityVaries, ["Vary: Accept-Encoding"], ["Vary: Accept-Encoding"]),
            (
                .identity, ["ETag: \"a\"", "Accept-Ranges: bytes", "Content-Encoding: br", "Repr-Digest: x"],
                ["ETag: \"a\"", "Accept-Ranges: bytes", "Content-Encoding: br", "Repr-Digest: x"]
            ),
        ] as [(Coding, [String], [String])])
    func codings(coding: Coding, received: [String], sent: [String]) throws {
        let head = wire(["HTTP/1.1 200 OK"] + received)
        #expect(
            try rewritten(head, framing: .frames, coding: coding, keepsLength: coding != .gzip)
                == ["HTTP/1.1 200 OK"] + sent + Self.ours)
    }

    @Test func interimAnswers() throws {
        func interim(_ received: [String], upgraded: Bool = false) throws -> [String] {
            var out = ByteBuffer()
            try withAnswer(wire(received), upgraded: upgraded) { head, bytes, fields in
                try rewriteInterim(head, bytes, fields, id: requestID, sendsHSTS: true, into: &out)
            }
            return lines(out)
        }
        #expect(try interim(["HTTP/1.1 100 Continue"]) == ["HTTP/1.1 100 Continue", ""])
        #expect(
            try interim(["HTTP/1.1 103 Early Hints", "Link: </a>", "Set-Cookie: zlh_x=1", "Alt-Svc: x"])
                == ["HTTP/1.1 103 Early Hints", "Link: </a>", ""])
        #expect(
            try interim(
                [
                    "HTTP/1.1 101 Switching Protocols", "UPGRADE: WebSocket", "connection: upgrade",
                    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                ], upgraded: true) == [
                    "HTTP/1.1 101 Switching Protocols", "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
                    "Connection: Upgrade", "Upgrade: websocket", "Strict-Transport-Security: max-age=31536000",
                    "X-Request-Id: \(requestIDText)", "",
                ])
    }

    @Test func tooManyNominationsAreABadAnswer() {
        let list = "Connection: " + (1...65).map { "x\($0)" }.joined(separator: ",")
        let failure = #expect(throws: GatewayFailure.self) {
            try rewritten(wire(["HTTP/1.1 200 OK", "Content-Length: 0", list]))
        }
        #expect(failure?.status == 502)
    }
}
