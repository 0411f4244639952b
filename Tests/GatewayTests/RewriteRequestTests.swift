import Testing
import Wire

@testable import Gateway

/// What the container is sent, to the byte.
@Suite struct RewriteRequestTests {
    private func rewritten(
        _ bytes: [UInt8], client: String = "203.0.113.7", host: String = "dev-1101.example.test"
    ) throws -> [String] {
        var forwarded = ByteBuffer()
        renderForwarded(
            client: try #require(IPAddress(client)), host: Array(host.utf8).span, defaultPort: 443, into: &forwarded)
        var out = ByteBuffer()
        var restored = ByteBuffer()
        try withRequest(bytes) { head, bytes, fields in
            try forwarded.withReadable {
                try rewriteRequest(
                    head, bytes, fields, forwarded: $0, id: requestID, restoredTags: &restored, into: &out)
            }
        }
        return lines(out)
    }

    private static let ours = [
        "Host: dev-1101.example.test", "X-Forwarded-For: 203.0.113.7", "X-Forwarded-Host: dev-1101.example.test",
        "X-Forwarded-Proto: https", "X-Forwarded-Port: 443", "X-Request-Id: \(requestIDText)",
    ]

    /// Request line and fields received; request line and fields behind ours sent.
    @Test(
        arguments: [
            ("GET / HTTP/1.1", [], "GET / HTTP/1.1", []),
            (
                "GET /a//b/../%2e?x=1&&y HTTP/1.1", ["Accept: */*", "X-A: 1"], "GET /a//b/../%2e?x=1&&y HTTP/1.1",
                ["Accept: */*", "X-A: 1"]
            ),
            ("GET / HTTP/1.0", [], "GET / HTTP/1.1", []),
            ("OPTIONS * HTTP/1.1", [], "OPTIONS * HTTP/1.1", []),
            ("GET https://dev-1101.example.test/p?q HTTP/1.1", [], "GET /p?q HTTP/1.1", []),
            ("GET https://dev-1101.example.test HTTP/1.1", [], "GET / HTTP/1.1", []),
            ("GET https://dev-1101.example.test?q HTTP/1.1", [], "GET /?q HTTP/1.1", []),
            ("BREW /pot HTTP/1.1", ["brew:  x "], "BREW /pot HTTP/1.1", ["brew:  x "]),
            ("OPTIONS https://dev-1101.example.test HTTP/1.1", [], "OPTIONS * HTTP/1.1", []),
            ("OPTIONS https://dev-1101.example.test?q HTTP/1.1", [], "OPTIONS /?q HTTP/1.1", []),
            ("OPTIONS https://dev-1101.example.test/ HTTP/1.1", [], "OPTIONS / HTTP/1.1", []),
            // Hop by hop, and those that Connection names, but never what the framing and the authorisation rest on.
            (
                "GET / HTTP/1.1", ["A: 1", "Connection: keep-alive, X-B", "Keep-Alive: 5", "x-b: 2", "C: 3"],
                "GET / HTTP/1.1",
                ["A: 1", "C: 3"]
            ),
            (
                "GET / HTTP/1.1", ["Connection: close", "Connection: a ,, b", "a: 1", "b: 2", "c: 3"], "GET / HTTP/1.1",
                ["c: 3"]
            ),
            (
                "POST / HTTP/1.1",
                [
                    "Connection: Host, Cookie, Authorization, Content-Length", "Cookie: a=1",
                    "Authorization: Basic eA==",
                    "Content-Length: 2",
                ], "POST / HTTP/1.1",
                ["Cookie: a=1", "Authorization: Basic eA==", "Content-Length: 2"]
            ),
            (
                "GET / HTTP/1.1",
                ["TE: trailers", "Trailer: X", "Proxy-Connection: close", "Upgrade: h2c", "HTTP2-Settings: AA"],
                "GET / HTTP/1.1", []
            ),
            // What says who the client is, is ours alone.
            (
                "GET / HTTP/1.1",
                [
                    "X-Forwarded-For: 6.6.6.6", "x-forwarded-anything: 1", "Forwarded: for=6.6.6.6",
                    "X-Real-IP: 6.6.6.6",
                    "X-Original-URL: /admin", "X-Rewrite-URL: /admin", "Proxy: http://6.6.6.6",
                    "Proxy-Authorization: x",
                    "X-ZLH-Token: t", "X-ZLH-Other: t", "X_Forwarded_For: 6.6.6.6", "a_b: c", "X-Request-Id: mine",
                    "Y: 1",
                ],
                "GET / HTTP/1.1", ["Y: 1"]
            ),
            // Our cookies are cut out; others stay byte for byte.
            ("GET / HTTP/1.1", ["Cookie: a=1;b=2 ;  c"], "GET / HTTP/1.1", ["Cookie: a=1;b=2 ;  c"]),
            ("GET / HTTP/1.1", ["cookie: a=1; __Host-zlh_s=v1.x; b=2"], "GET / HTTP/1.1", ["cookie: a=1; b=2"]),
            (
                "GET / HTTP/1.1", ["A: 1", "Cookie: zlh_x=1; __Secure-zlh_y=2; __Host-zlh_g=3", "B: 2"],
                "GET / HTTP/1.1",
                ["A: 1", "B: 2"]
            ),
            (
                "GET / HTTP/1.1", ["Cookie: a=1", "Cookie: __Host-zlh_s=x", "Cookie: b=2"], "GET / HTTP/1.1",
                ["Cookie: a=1", "Cookie: b=2"]
            ),
            (
                "GET / HTTP/1.1", ["Cookie: my__Host-zlh_s=1; xzlh_=2"], "GET / HTTP/1.1",
                ["Cookie: my__Host-zlh_s=1; xzlh_=2"]
            ),
            // Bodies.
            (
                "POST / HTTP/1.1", ["Transfer-Encoding: chunked", "A: 1"], "POST / HTTP/1.1",
                ["A: 1", "Transfer-Encoding: chunked"]
            ),
            (
                "POST / HTTP/1.1", ["Content-Length: 5", "Expect: 100-continue"], "POST / HTTP/1.1",
                ["Content-Length: 5"]
            ),
            ("POST / HTTP/1.1", ["Content-Length: 5", "Expect: 200-ok"], "POST / HTTP/1.1", ["Content-Length: 5"]),
            ("POST / HTTP/1.1", ["A: 1"], "POST / HTTP/1.1", ["A: 1", "Content-Length: 0"]),
            ("PUT / HTTP/1.1", [], "PUT / HTTP/1.1", ["Content-Length: 0"]),
            ("PATCH / HTTP/1.0", [], "PATCH / HTTP/1.1", ["Content-Length: 0"]),
            ("POST / HTTP/1.1", ["Content-Length: 0"], "POST / HTTP/1.1", ["Content-Length: 0"]),
            ("DELETE / HTTP/1.1", [], "DELETE / HTTP/1.1", []),
            // Entity tags that compression made.
            (
                "GET / HTTP/1.1", ["A: 1", "If-None-Match: W/\"a-zlhgz\", \"b\"", "If-Match: \"c\"", "B: 1"],
                "GET / HTTP/1.1", ["A: 1", "If-None-Match: \"a\", \"b\"", "If-Match: \"c\"", "B: 1"]
            ),
            ("GET / HTTP/1.1", ["If-Range: W/\"a-zlhgz\""], "GET / HTTP/1.1", ["If-Range: W/\"a-zlhgz\""]),
            // Upgrades: a WebSocket, and nothing else.
            (
                "GET /ws HTTP/1.1", handshake + ["Content-Length: 0"], "GET /ws HTTP/1.1",
                [
                    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Connection: Upgrade",
                    "Upgrade: websocket",
                ]
            ),
            (
                "GET /ws HTTP/1.1", handshake + ["Sec-WebSocket-Extensions: permessage-deflate"], "GET /ws HTTP/1.1",
                [
                    "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                    "Sec-WebSocket-Extensions: permessage-deflate", "Connection: Upgrade", "Upgrade: websocket",
                ]
            ),
            (
                "GET / HTTP/1.1", ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AA"],
                "GET / HTTP/1.1", []
            ),
        ] as [(String, [String], String, [String])])
    func golden(line: String, fields: [String], sentLine: String, sent: [String]) throws {
        #expect(try rewritten(request(line, fields)) == [sentLine] + Self.ours + sent + [""])
    }

    /// A body whose length became known after the head was written.
    @Test(arguments: [(Method.get, 0, []), (.post, 0, ["Content-Length: 0"]), (.get, 7, ["Content-Length: 7"])])
    func chunksReplaced(_ method: Method, _ count: Int, _ sent: [String]) {
        var out = ByteBuffer()
        out.append("GET / HTTP/1.1\r\nA: 1\r\nTransfer-Encoding: chunked\r\n\r\n")
        replaceChunked(withLength: count, method, in: &out)
        #expect(lines(out) == ["GET / HTTP/1.1", "A: 1"] + sent + [""])
    }

    @Test(arguments: [
        ("203.0.113.7", "dev-1.example.test:8443", "203.0.113.7", "8443"),
        ("2001:db8::7", "dev-1.example.test", "2001:db8::7", "443"),
        ("203.0.113.7", "dev-1.example.test.", "203.0.113.7", "443"),
    ])
    func whoAndWhere(client: String, host: String, seen: String, port: String) throws {
        let sent = try rewritten(request(host: host), client: client, host: host)
        #expect(sent.contains("Host: \(host)"))
        #expect(sent.contains("X-Forwarded-For: \(seen)"))
        #expect(sent.contains("X-Forwarded-Host: \(host)"))
        #expect(sent.contains("X-Forwarded-Port: \(port)"))
    }

    @Test func aListOfSixtyFiveNominationsIsRefused() throws {
        func nominating(_ count: Int) -> [UInt8] {
            request(
                "GET / HTTP/1.1", ["Connection: " + (1...count).map { "x\($0)" }.joined(separator: ","), "x64: a"])
        }
        #expect(try rewritten(nominating(64)).last == "")
        #expect(try !rewritten(nominating(64)).contains("x64: a"))
        let failure = #expect(throws: GatewayFailure.self) { try rewritten(nominating(65)) }
        #expect(failure?.status == 400)
    }
}
