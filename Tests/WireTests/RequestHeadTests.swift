import Testing
import Wire

@Suite("HTTP/1 request heads")
struct RequestHeadTests {
    @Test("a browser's request")
    func browser() {
        let verdict = request(
            """
            GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: dev-1101.zerolaghub.dev\r\nConnection: keep-alive\r\n\
            Sec-Fetch-Mode: navigate\r\nCookie: a=b; c=d\r\nX-Odd_One:  v \t\r\n\r\n
            """)
        #expect(verdict.text.contains("complete get GET /a/b?x=1&y=2 path=/a/b query=x=1&y=2 origin 1.1"))
        #expect(verdict.text.contains("none keep=true expect=false ws=false up=false host=dev-1101.zerolaghub.dev"))
        #expect(verdict.text.contains("[secFetchMode|Sec-Fetch-Mode|navigate|"))
        #expect(verdict.text.contains("[underscore|X-Odd_One|v|"))
    }

    /// `Corpus/accept/EXPECTED` holds a line for each file: its name, a colon and what the head was read as.
    @Test("what is accepted, and how it is read", arguments: CorpusFile.all("Corpus/accept"))
    func accepted(_ file: CorpusFile) {
        let line = "\(file.name): \(request(file.bytes))"
        #expect(Self.expected.contains(line), "read as \(line)")
    }

    static let expected = Set(CorpusFile.text("Corpus/accept/EXPECTED").split(separator: "\n").map(String.init))

    @Test("every expectation has its file")
    func expectations() {
        #expect(Self.expected.count == CorpusFile.all("Corpus/accept").count)
        #expect(Self.expected.count > 40)
    }

    @Test("what is refused, with the status that begins the file's name", arguments: CorpusFile.all("Corpus/reject"))
    func refused(_ file: CorpusFile) {
        let verdict = request(file.bytes)
        #expect(verdict.status.map(String.init) == String(file.name.prefix(3)), "\(verdict)")
    }

    @Test("what may still become a head", arguments: CorpusFile.all("Corpus/partial"))
    func unfinished(_ file: CorpusFile) {
        #expect(request(file.bytes).isPartial)
    }

    @Test("every proper prefix of what is accepted is partial", arguments: CorpusFile.all("Corpus/accept"))
    func prefixes(_ file: CorpusFile) {
        let fields = HeadFields(capacity: 100)
        var scan = HeadScan()
        guard case .complete(let head) = HTTP1.parseRequestHead(file.bytes.span, scan: &scan, into: fields) else {
            Issue.record("not accepted")
            return
        }
        for count in 0..<head.byteCount {
            var scan = HeadScan()
            let outcome = HTTP1.parseRequestHead(file.bytes.span.extracting(0..<count), scan: &scan, into: fields)
            guard case .partial = outcome else {
                Issue.record("\(count) bytes are not partial")
                return
            }
        }
    }

    @Test(
        "illegal bytes are refused as soon as they are there",
        arguments: [
            "GET / HTTP/1.1\n", "GET / HT\0", "GET /\u{1}", "GET / HTTP/1.1\r\nHost: a\n", "GET / HTTP/1.1\r\nHo\0",
            "GET / HTTP/1.1\r\nHost: x\rY", "GET / HTTP/1.1\r\nX: \u{7f}", "\rG", "\u{0}",
        ])
    func early(_ text: String) {
        #expect(request(text).status == 400)
        #expect(request(String(text.dropLast())).isPartial)
    }

    @Test("every single byte in a value is kept or refused", arguments: [UInt8](0...255))
    func valueByte(_ byte: UInt8) {
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nX: b".utf8) + [byte] + Array("c\r\n\r\n".utf8)
        let isLegal = byte >= 0x20 && byte != 0x7f || byte == 0x09
        #expect(request(bytes).isComplete == isLegal)
    }

    @Test("every single byte in a name is kept or refused", arguments: [UInt8](0...255))
    func nameByte(_ byte: UInt8) {
        let token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz:"
        let known = Array("GET / HTTP/1.1\r\nHost: a\r\nContent".utf8) + [byte] + Array("Length: 1\r\n\r\n".utf8)
        let other = Array("GET / HTTP/1.1\r\nHost: a\r\nX".utf8) + [byte] + Array("Y: 1\r\n\r\n".utf8)
        #expect(request(known).isComplete == token.utf8.contains(byte))
        #expect(request(other).isComplete == token.utf8.contains(byte))
        #expect(request(known).text.contains("length(1)") == (byte == UInt8(ascii: "-")))
    }

    @Test("every single byte in a target is kept or refused", arguments: [UInt8](0...255))
    func targetByte(_ byte: UInt8) {
        let bytes = Array("GET /path/of/some/length".utf8) + [byte] + Array("x HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        #expect(request(bytes).isComplete == ((0x21...0x7e).contains(byte) && byte != UInt8(ascii: "#")))
    }

    @Test("every single byte in a method is kept or refused", arguments: [UInt8](0...255))
    func methodByte(_ byte: UInt8) {
        let token = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
        let bytes = Array("GE".utf8) + [byte] + Array("T / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
        #expect(request(bytes).isComplete == token.utf8.contains(byte))
    }

    @Test("methods", arguments: Wire.Method.allCases)
    func methods(_ method: Wire.Method) {
        let target = method == .connect ? "a:443" : "/"
        let verdict = request("\(method.name) \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
        switch method {
        case .connect: #expect(verdict.status == 501)
        case .trace: #expect(verdict.status == 405)
        default: #expect(verdict.text.hasPrefix("complete \(method) \(method.name) / "))
        }
    }

    @Test("a 400 comes before what the method would get")
    func precedence() {
        #expect(request("TRACE / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n").status == 400)
        #expect(request("CONNECT a:1 HTTP/1.1\r\n\r\n").status == 400)
        #expect(request("TRACE / HTTP/1.1\r\nHost: a\r\nX: \n").status == 400)
    }
}
