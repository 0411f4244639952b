import Testing
import Wire

@testable import Gateway

/// Which answers are compressed for whom.
@Suite struct ChooseCodingTests {
    private static let gzip = "Accept-Encoding: gzip, deflate, br"
    private static let own = [gzip, "Sec-Fetch-Site: same-origin"]
    private static let script = ["Content-Type: text/javascript", "Content-Length: 5000"]
    private static let page = ["Content-Type: text/html; charset=utf-8", "Content-Length: 5000"]

    private func coding(
        _ asked: [String], _ answer: [String], to line: String = "GET /a HTTP/1.1", status: String = "200 OK",
        usesHeaderToken: Bool = false
    ) throws -> Coding {
        let asked = request(line, asked)
        let facts = try withRequest(asked) {
            CodingFacts($0, $1, $2, asker: Asker($0, $1, $2), usesHeaderToken: usesHeaderToken)
        }
        let method: Method = line.hasPrefix("HEAD") ? .head : .get
        return try withAnswer(wire(["HTTP/1.1 \(status)"] + answer), to: method) {
            chooseCoding($0, $1, $2, request: facts)
        }
    }

    /// What a browser's own request for a script, and the same for a page, get.
    @Test func theGain() throws {
        #expect(try coding(Self.own, Self.script) == .gzip)
        #expect(try coding(Self.own, Self.page) == .gzip)
    }

    /// Fields of an answer to a request that takes gzip.
    @Test(
        arguments: [
            (["Content-Type: application/json", "Transfer-Encoding: chunked"], .gzip),
            (["Content-Type: application/json"], .gzip),
            (["Content-Type: application/json", "Content-Length: 1024"], .gzip),
            (["Content-Type: application/json", "Content-Length: 1023"], .identity),
            (["Content-Type: application/json", "Content-Length: 0"], .identity),
            (script + ["Content-Encoding: identity"], .gzip),
            (script + ["Content-Encoding: IDENTITY"], .gzip),
            (script + ["Content-Encoding: gzip"], .identity),
            (script + ["Content-Encoding: br"], .identity),
            (script + ["Content-Encoding:"], .identity),
            (script + ["Content-Encoding: identity", "Content-Encoding: br"], .identity),
            (script + ["Content-Range: bytes 0-4999/9000"], .identity),
            (script + ["Content-Digest: sha-256=:x:"], .identity),
            (script + ["Content-MD5: x"], .identity),
            (script + ["Cache-Control: public, no-transform"], .identity),
            (script + ["Cache-Control: public, max-age=31536000, immutable"], .gzip),
            (script + ["ETag: \"a\"", "Accept-Ranges: bytes", "Vary: *", "Set-Cookie: a=1"], .gzip),
            (["Content-Type: text/event-stream"], .identity),
            (["Content-Type: image/png", "Content-Length: 5000"], .identity),
            (["Content-Type: text/css", "Content-Type: text/html"], .identity),
            (["Content-Length: 5000"], .identity),
        ] as [([String], Coding)])
    func answers(answer: [String], expected: Coding) throws {
        #expect(try coding(Self.own, answer) == expected)
    }

    @Test(arguments: [
        "201 Created", "203 X", "204 No Content", "206 Partial Content", "301 X", "304 Not Modified", "401 X", "403 X",
        "404 Not Found", "500 X", "100 Continue", "103 Early Hints",
    ])
    func otherStatus(status: String) throws {
        #expect(try coding(Self.own, ["Content-Type: text/css"], status: status) == .identity)
    }

    /// A request line and fields beside those of a browser's own request, and what a script gets.
    @Test(
        arguments: [
            ("GET /a?v=1 HTTP/1.1", [], .gzip),
            ("HEAD /a HTTP/1.1", [], .identityVaries),
            ("POST /a HTTP/1.1", ["Content-Length: 0"], .identity),
            ("PUT /a HTTP/1.1", ["Content-Length: 0"], .identity),
            ("OPTIONS /a HTTP/1.1", [], .identity),
            ("GET /a HTTP/1.1", ["Range: bytes=0-"], .identityVaries),
            ("GET /a HTTP/1.1", ["Cache-Control: no-transform"], .identityVaries),
            ("GET /a HTTP/1.1", ["Cache-Control: no-cache"], .gzip),
            ("GET /a HTTP/1.1", handshake, .identity),
        ] as [(String, [String], Coding)])
    func requests(line: String, fields: [String], expected: Coding) throws {
        #expect(try coding(Self.own + fields, Self.script, to: line) == expected)
    }

    /// `Vary` is there for whoever does not take gzip, too.
    @Test(arguments: [[], ["Accept-Encoding: br"], ["Accept-Encoding: gzip;q=0"], ["Accept-Encoding: identity"]])
    func withoutGzip(fields: [String]) throws {
        #expect(try coding(fields + ["Sec-Fetch-Site: same-origin"], Self.script) == .identityVaries)
        #expect(try coding(fields, ["Content-Type: image/png"]) == .identity)
        #expect(
            try coding(fields, ["Content-Type: text/css", "Content-Length: 9"], to: "HEAD /a HTTP/1.1") == .identity)
    }

    /// Who asks, and what a script, a page, and a page with a query get.
    @Test(
        arguments: [
            (["Sec-Fetch-Site: same-origin"], false, .gzip, .gzip),
            (["Sec-Fetch-Site: NONE"], false, .gzip, .gzip),
            (["Sec-Fetch-Site: same-site"], false, .identityVaries, .identityVaries),
            (["Sec-Fetch-Site: cross-site"], false, .identityVaries, .identityVaries),
            (["Sec-Fetch-Site: cross-site"], true, .identityVaries, .identityVaries),
            (["Sec-Fetch-Site: new-word"], false, .identityVaries, .identityVaries),
            (["Sec-Fetch-Site:"], false, .identityVaries, .identityVaries),
            (["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"], false, .identityVaries, .identityVaries),
            ([], false, .gzip, .identityVaries),
            ([], true, .gzip, .gzip),
        ] as [([String], Bool, Coding, Coding)])
    func breach(fields: [String], headerToken: Bool, script: Coding, page: Coding) throws {
        let asked = [Self.gzip] + fields
        #expect(try coding(asked, Self.script, usesHeaderToken: headerToken) == script)
        #expect(try coding(asked, Self.page, usesHeaderToken: headerToken) == page)
        let search = "GET /search?q=guess HTTP/1.1"
        #expect(try coding(asked, Self.script, to: search, usesHeaderToken: headerToken) == script)
        #expect(try coding(asked, Self.page, to: search, usesHeaderToken: headerToken) == .identity)
        let empty = "GET /search? HTTP/1.1"
        #expect(try coding(asked, Self.page, to: empty, usesHeaderToken: headerToken) == page)
    }

    /// A body can be repeated like a query.
    @Test func aBodyIsInput() throws {
        #expect(try coding(Self.own + ["Content-Length: 5"], Self.page) == .identity)
        #expect(try coding(Self.own + ["Transfer-Encoding: chunked"], Self.page) == .identity)
        #expect(try coding(Self.own + ["Content-Length: 5"], Self.script) == .gzip)
    }
}
