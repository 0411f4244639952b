import LocalServer
import Testing
import Wire

@Suite(.timeLimit(.minutes(1))) struct HTTPTests {
    @Test func servesRequestsOneAfterAnotherOnOneConnection() throws {
        let server = try TestServer()
        let client = try server.client()
        for number in 0..<5 {
            try client.get("/head?n=\(number)", "X-Test: v\(number)\r\n")
            let response = try client.response()
            #expect(response.status == 200)
            #expect(response.text == "GET n=\(number) v\(number)")
            #expect(response.headers["connection"] == nil)
        }
    }

    @Test func servesPipelinedRequestsInOrder() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.send(
            "GET /head?1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
                + "GET /head?2 HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.response().text == "GET 1 none")
        #expect(try client.response().text == "abc")
        #expect(try client.response().text == "GET 2 none")
    }

    @Test func readsAHeadThatComesByteByByte() throws {
        let server = try TestServer()
        let client = try server.client()
        for byte in Array("GET /head?slow HTTP/1.1\r\nHost: a\r\nX-Test: t\r\n\r\n".utf8) { try client.send([byte]) }
        #expect(try client.response().text == "GET slow t")
    }

    /// The chunked coding, cut into pieces of so many bytes; a trailer is dropped.
    @Test(arguments: [1, 2, 3, 7, 1000])
    func readsAChunkedBody(piece: Int) throws {
        let server = try TestServer()
        let client = try server.client()
        let wire = Array(
            ("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                + "5;x=y\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-Trailer: 1\r\n\r\n").utf8)
        for start in stride(from: 0, to: wire.count, by: piece) {
            try client.send(Array(wire[start..<min(start + piece, wire.count)]))
        }
        #expect(try client.response().text == "hello world")
        try client.get("/head?after")
        #expect(try client.response().text == "GET after none")
    }

    @Test func answersHeadWithoutBodyAndStreamsInChunks() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.send("HEAD /head HTTP/1.1\r\nHost: a\r\n\r\n")
        #expect(try client.response(toHead: true).headers["content-length"] == "11")
        try client.get("/stream")
        let response = try client.response()
        #expect(response.headers["transfer-encoding"] == "chunked")
        #expect(response.text == "one two three")
    }

    @Test func asksForTheBodyOnlyWhenItIsRead() throws {
        let server = try TestServer()
        let client = try server.client()
        let expecting = "HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
        try client.send("POST /body \(expecting)")
        #expect(try client.response().status == 100)
        try client.send("ok")
        #expect(try client.response().text == "ok")
        try client.send("POST /head \(expecting)")
        #expect(try client.response().status == 200)
        #expect(try client.isAtEnd())
    }

    @Test func endsAnHTTP10ConnectionAfterItsAnswer() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.send("GET /stream HTTP/1.0\r\nHost: a\r\n\r\n")
        let answer = try client.read(through: "three")
        #expect(answer.contains("connection: close"))
        #expect(!answer.contains("transfer-encoding"))
        #expect(try client.isAtEnd())
    }

    /// What is sent, and the status that refuses it; the connection ends after that.
    @Test(arguments: [
        ("GET /head HTTP/1.1\r\n\r\n", 400),
        ("GET /head HTTP/1.1\nHost: a\n\n", 400),
        ("GET /head HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET http://a/head HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        ("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        ("POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello", 400),
        ("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999\r\n\r\n", 413),
        ("GET /socket HTTP/1.1\r\nHost: a\r\n\r\n", 426),
        ("GET /unknown HTTP/1.1\r\nHost: a\r\n\r\n", 500),
        ("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n", 500),
        ("GET /head HTTP/1.1\r\nHost: a\r\nX: " + String(repeating: "x", count: 40_000), 431),
    ])
    func refuses(wire: String, status: Int) throws {
        let server = try TestServer()
        let client = try server.client()
        try client.send(wire)
        let response = try client.response()
        #expect(response.status == status)
        #expect(response.headers["connection"] == "close")
        client.closeWriting()
        #expect(try client.isAtEnd())
    }

    @Test func neverLetsAValueStartAnotherField() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.get("/inject")
        let response = try client.response()
        #expect(response.headers["x-a"] == nil)
        #expect(response.headers["x-evil"] == nil)
    }

    @Test func cutsAnAnswerThatIsShorterThanAnnounced() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.get("/short")
        #expect(try client.read(through: "half").contains("content-length: 10"))
        #expect(try client.isAtEnd())
    }

    @Test func refusesOneConnectionTooMany() throws {
        var limits = LocalLimits()
        limits.connections = 1
        let server = try TestServer(limits: limits)
        let first = try server.client()
        try first.get("/head")
        #expect(try first.response().status == 200)
        let second = try server.client()
        #expect(try second.response().status == 503)
        try first.get("/head")
        #expect(try first.response().status == 200)
    }

    @Test func timesOutASlowHead() throws {
        var limits = LocalLimits()
        limits.headMs = 50
        let server = try TestServer(limits: limits)
        let client = try server.client()
        try client.send("GET /head HT")
        #expect(try client.response().status == 408)
    }

    @Test func timesOutAStalledBody() throws {
        var limits = LocalLimits()
        limits.stallMs = 50
        let server = try TestServer(limits: limits)
        let client = try server.client()
        try client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nab")
        #expect(try client.response().status == 408)
    }

    @Test func stopEndsConnections() throws {
        let server = try TestServer()
        let client = try server.client()
        try client.get("/head")
        #expect(try client.response().status == 200)
        server.server.stop()
        #expect(try client.isAtEnd())
    }
}
