import HTTP2
import Testing
import Wire

@Suite struct RequestTests {
    static let rows: [(fields: [(String, String)], ends: Bool, head: String)] = [
        (
            Frame.request("GET", "/a?b=c") + [("accept", "*/*"), ("x-y", "")], true,
            "request 0 ends GET /a?b=c HTTP/1.1\r\nHost: a.test\r\naccept: */*\r\nx-y: \r\n\r\n"
        ),
        (
            Frame.request("POST") + [("content-length", "3")], false,
            "request 0 POST / HTTP/1.1\r\nHost: a.test\r\ncontent-length: 3\r\n\r\n"
        ),
        (
            Frame.request("PUT"), false,
            "request 0 PUT / HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n"
        ),
        // Pieces of a cookie become one line again, behind the other fields (RFC 9113 section 8.2.3).
        (
            Frame.request("GET") + [("cookie", "a=1"), ("te", "trailers"), ("cookie", "b=2"), ("cookie", "c=3")], true,
            "request 0 ends GET / HTTP/1.1\r\nHost: a.test\r\nte: trailers\r\nCookie: a=1; b=2; c=3\r\n\r\n"
        ),
        (
            [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("host", "b.test:8443")], true,
            "request 0 ends GET / HTTP/1.1\r\nHost: b.test:8443\r\n\r\n"
        ),
        (
            Frame.request("GET") + [("host", "A.TEST")], true,
            "request 0 ends GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
        ),
        (Frame.request("OPTIONS", "*"), true, "request 0 ends OPTIONS * HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        (Frame.request("TRACE"), true, "request 0 ends TRACE / HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        (
            Frame.request("M-SEARCH") + [("x", "\u{e9}\t!")], true,
            "request 0 ends M-SEARCH / HTTP/1.1\r\nHost: a.test\r\nx: \u{fffd}\t!\r\n\r\n"
        ),
    ]

    @Test(arguments: rows.indices) func becomesHTTP1(row: Int) throws {
        let (fields, ends, head) = Self.rows[row]
        let server = try Server.greeted()
        server.receive(Frame.headers(1, fields, ends: ends))
        #expect(server.log == [head])
    }

    @Test func tunnelBecomesHandshake() throws {
        let server = try Server.greeted()
        server.receive(
            .headers(1, Self.connect + [("sec-websocket-key", "mine"), ("origin", "https://a")], ends: false))
        let log = try #require(server.log.first)
        let prefix = """
            request 0 tunnel GET /chat HTTP/1.1\r\nHost: a.test\r\nsec-websocket-version: 13\r\norigin: https://a\r\n\
            Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key:\u{20}
            """
        #expect(log.hasPrefix(prefix))
        let key = log.dropFirst(prefix.count).prefix(24)
        let isKey = Base64.isSixteenBytes(Array(key.utf8).span)
        #expect(isKey)
        #expect(log.hasSuffix(key + "\r\n\r\n"))
        server.receive(.data(1, [1, 2, 3]))
        #expect(server.bodies[0] == [1, 2, 3])
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            + "Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: p\r\n\r\n"
        #expect(server.head(0, head))
        let frames = server.send()
        #expect(server.fields(frames) == [[":status: 200", "sec-websocket-protocol: p"]])
        #expect(!frames.contains { $0.endsStream })
    }

    static let connect = [
        (":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "https"), (":authority", "a.test"),
        (":path", "/chat"), ("sec-websocket-version", "13"),
    ]

    static let refusals: [(fields: [(String, String)], why: HTTP2Refusal)] = [
        ([(":method", "CONNECT"), (":authority", "a.test:443")], .connectUnsupported),
        (connect.map { $0.0 == ":protocol" ? ($0.0, "connect-udp") : $0 }, .connectUnsupported),
        (connect.filter { $0.0 != "sec-websocket-version" }, .badRequest("WebSocket without Sec-WebSocket-Version")),
        (
            [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", "/")],
            .badRequest("target scheme is not https")
        ),
        (Frame.request("GET", "/a#b"), .badRequest("fragment in :path")),
        (Frame.request("GET", "/\u{e9}"), .badRequest("malformed :path")),
        (Frame.request("GET") + [("host", "b.test")], .badRequest(":authority and Host disagree")),
        (Frame.request("GET") + [("bad name", "x")], .badRequest("malformed field")),
        (Frame.request("GET") + [("x", "a\r\nb: c")], .badRequest("malformed field")),
        (Frame.request("GET") + [("x", "a\u{0}")], .badRequest("malformed field")),
        (Frame.request("GET") + [("x", " a")], .badRequest("malformed field")),
        (Frame.request("GET") + [("x:y", "a")], .badRequest("malformed field")),
    ]

    @Test(arguments: refusals.indices) func isRefused(row: Int) throws {
        let (fields, why) = Self.refusals[row]
        let server = try Server.greeted()
        server.receive(.headers(1, fields))
        #expect(server.log == ["refused 0 \(why) ends"])
        // The caller answers it, and the connection serves the next one.
        #expect(server.head(0, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", ends: true))
        #expect(server.fields(server.send()) == [[":status: 400", "content-length: 0"]])
        server.log = []
        server.receive(.get(3))
        #expect(server.log == ["request 0 ends GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"])
    }

    static let resets: [[(String, String)]] = [
        Frame.request("GET") + [("Upper", "x")],
        Frame.request("GET") + [("connection", "close")],
        Frame.request("GET") + [("transfer-encoding", "chunked")],
        Frame.request("GET") + [("te", "gzip")],
        Frame.request("GET") + [(":late", "x")],
        Frame.request("GET") + [("content-length", "1"), ("content-length", "1")],
        Frame.request("GET") + [("host", "a.test"), ("host", "a.test")],
        Frame.request("GET") + [(":method", "GET")],
        Frame.request("GET").filter { $0.0 != ":path" },
        Frame.request("GET").filter { $0.0 != ":authority" },
        Frame.request("GET", "relative"),
        Frame.request("GET", ""),
        Frame.request("G ET"),
        Frame.request("GET", "/a b"),
        Frame.request("GET", "/a\r\nX: y"),
        [(":method", "GET"), (":scheme", "https"), (":authority", "a.test\r\nx: y"), (":path", "/")],
        Frame.request("GET", "*"),
    ]

    /// What nghttp2 refuses by itself: the caller hears nothing of it.
    @Test(arguments: resets.indices) func isReset(row: Int) throws {
        let server = try Server.greeted()
        server.receive(.headers(1, Self.resets[row]))
        let frames = server.send()
        #expect(server.log.allSatisfy { $0.hasPrefix("refused 0") })
        if server.log.isEmpty {
            #expect(frames == [.reset(1, .protocolError)])
            #expect(server.session.openStreams == 0)
        }
        server.log = []
        server.receive(.get(3))
        #expect(server.log.count == 1)
        #expect(server.log[0].contains("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"))
    }

    @Test func bodyAndTrailers() throws {
        let server = try Server.greeted()
        server.receive(.post(1), .data(1, [1, 2]), .padded(1, [3], padding: 9), .headers(1, [("x-sum", "9")]))
        #expect(server.log.last == "ended 0")
        #expect(server.bodies[0] == [1, 2, 3])
    }

    @Test func trailersTooLarge() throws {
        let server = try Server.greeted()
        let long = String(repeating: "x", count: 4200)
        server.receive(.post(1), .headers(1, [("a", long), ("b", long)]))
        #expect(server.send().contains(.reset(1, .enhanceYourCalm)))
        #expect(server.log.dropFirst() == ["closed 0 11"])
    }

    /// Every rendered head must be read by the HTTP/1 parser.
    @Test func parsesAsHTTP1() throws {
        for row in Self.rows where !row.head.contains("TRACE") {
            let server = try Server.greeted()
            server.receive(.headers(1, row.fields, ends: row.ends))
            let text = row.head.drop { !$0.isUppercase }
            var scan = HeadScan()
            let outcome = HTTP1.parseRequestHead(Array(text.utf8).span, scan: &scan, into: HeadFields(capacity: 100))
            guard case .complete = outcome else {
                Issue.record("\(outcome) of \(text)")
                continue
            }
        }
    }
}
