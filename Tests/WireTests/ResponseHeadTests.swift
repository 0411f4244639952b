import Testing
import Wire

@Suite("HTTP/1 response heads")
struct ResponseHeadTests {
    private func read(_ text: String, answering method: Wire.Method = .get, upgraded: Bool = false) -> Verdict {
        response(Array(text.utf8), answering: method, upgraded: upgraded)
    }

    @Test("an ordinary answer")
    func ordinary() {
        let text = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\nhello"
        let verdict = read(text)
        #expect(verdict.text.hasPrefix("complete 200 OK 1.1 72 17..<70 length(5) keep=true interim=false"))
        #expect(verdict.text.contains("[setCookie|Set-Cookie|c=d|"))
    }

    @Test(
        "how the body is delimited",
        arguments: [
            ("HTTP/1.1 200 OK\r\n", Wire.Method.get, "untilClose keep=false"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", .get, "length(0) keep=true"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", .get, "chunked keep=true"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", .get, "length(5) keep=false"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", .get, "length(5) keep=false"),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n", .get, "length(5) keep=true"),
            ("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n", .get, "untilClose keep=false"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", .head, "none keep=true"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", .head, "none keep=true"),
            ("HTTP/1.1 200 OK\r\n", .head, "none keep=true"),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n", .get, "none keep=true"),
            ("HTTP/1.1 204 No Content\r\n", .get, "none keep=true"),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n", .get, "none keep=true"),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", .get, "none keep=false"),
            ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n", .get, "none keep=false"),
            ("HTTP/1.1 100 Continue\r\n", .post, "none keep=true interim=true"),
            ("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n", .get, "none keep=true interim=true"),
            ("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n", .post, "none keep=false interim=true"),
            ("HTTP/1.1 599 \r\nContent-Length: 1\r\n", .get, "length(1) keep=true"),
        ])
    func framing(_ head: String, _ method: Wire.Method, _ expected: String) {
        #expect(read(head + "\r\n", answering: method).text.contains(" \(expected)"))
    }

    @Test("101 only when it was asked for")
    func upgrade() {
        let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        #expect(read(text).status != nil)
        #expect(read(text, upgraded: true).text.contains("none keep=false interim=false"))
    }

    @Test(
        "reasons",
        arguments: [
            ("HTTP/1.1 200\r\n", ""), ("HTTP/1.1 200 \r\n", ""), ("HTTP/1.1 200  two  \r\n", " two  "),
            ("HTTP/1.1 200 caf\u{e9}\tx\r\n", "caf\u{e9}\tx"),
        ])
    func reasons(_ line: String, _ reason: String) {
        #expect(read(line + "\r\n").text.hasPrefix("complete 200 \(reason) 1.1"))
    }

    @Test(
        "malformed status lines",
        arguments: [
            "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000 OK\r\n", "HTTP/1.1 099 OK\r\n", "HTTP/1.1 600 OK\r\n",
            "HTTP/1.1  200 OK\r\n", "HTTP/1.1 +20 OK\r\n", "HTTP/1.1 200OK\r\n", "HTTP/1.1 200\tOK\r\n",
            "HTTP/2.0 200 OK\r\n",
            "HTTP/1.10 200 OK\r\n", "http/1.1 200 OK\r\n", "ICY 200 OK\r\n", "\r\nHTTP/1.1 200 OK\r\n",
            "HTTP/1.1 200 O\u{0}K\r\n",
            "HTTP/1.1 200 OK\n", "HTTP/1.1\r\n", "<html>\r\n", "HTTP/1.1 200 O\rK\r\n", "HTTP/1.1 200 \u{1b}\r\n",
        ])
    func malformed(_ line: String) {
        #expect(read(line + "\r\n").status == 400)
    }

    @Test("limits of an answer's head")
    func limits() {
        let text = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: y\r\n\r\n".utf8)
        #expect(response(text, limits: HeadLimits(bytes: text.count, fields: 2, emptyLines: 0)).isComplete)
        #expect(response(text, limits: HeadLimits(bytes: text.count - 1, fields: 2, emptyLines: 0)).status == 431)
        #expect(response(text, limits: HeadLimits(bytes: text.count, fields: 1, emptyLines: 0)).status == 431)
    }

    @Test("prefixes are partial")
    func prefixes() {
        let text = Array("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".utf8)
        for count in 0..<text.count { #expect(response(Array(text[..<count])).isPartial) }
    }
}
