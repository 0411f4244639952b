import Testing
import Wire

/// Framing that two readers could take for two different things. Each must be refused or mean one thing.
@Suite("request smuggling")
struct SmugglingTests {
    private static let start = "POST / HTTP/1.1\r\nHost: a\r\n"

    @Test(
        "odd spellings of Transfer-Encoding",
        arguments: [
            "Transfer-Encoding: xchunked", "Transfer-Encoding: chunked, identity", "Transfer-Encoding: identity",
            "Transfer-Encoding: identity, chunked", "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked, chunked",
            "Transfer-Encoding: ,chunked", "Transfer-Encoding: chunked,", "Transfer-Encoding: chunked;q=1",
            "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: 'chunked'", "Transfer-Encoding: chunked chunked",
            "Transfer-Encoding: chun ked", "Transfer-Encoding: chunk", "Transfer-Encoding: chunkedx",
            "Transfer-Encoding:", "Transfer-Encoding: ", "Transfer-Encoding: \u{e9}chunked", "Transfer-Encoding: c",
            "Transfer-Encoding: cow", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\ntransfer-encoding:",
            "TRANSFER-ENCODING: Chunked-ish",
        ])
    func oddCodings(_ line: String) {
        #expect(request(Self.start + line + "\r\n\r\n").status == 501)
        #expect(request(Self.start + line + "\r\nContent-Length: 3\r\n\r\n").status == 400)
    }

    @Test(
        "Transfer-Encoding that is not even a field line",
        arguments: [
            "Transfer-Encoding : chunked", "Transfer-Encoding\t: chunked", " Transfer-Encoding: chunked",
            "\tTransfer-Encoding: chunked", "Transfer-Encoding: \u{b}chunked", "Transfer-Encoding: chunked\u{0}",
            "Transfer-Encoding:\r\n chunked", "Transfer-Encoding\r\n : chunked", "Transfer-Encoding: chunked\u{c}",
            "X: y\nTransfer-Encoding: chunked", "X: y\rTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r",
            "Transfer Encoding: chunked", "Transfer-Encoding\u{0}: chunked", "\u{0}Transfer-Encoding: chunked",
            "Transfer-Encoding", "Transfer\u{e9}Encoding: chunked",
        ])
    func notEvenFields(_ line: String) {
        #expect(request(Self.start + line + "\r\n\r\n").status == 400)
    }

    @Test(
        "what is accepted as chunked",
        arguments: [
            "Transfer-Encoding: chunked", "transfer-encoding:chunked", "TRANSFER-ENCODING: \t CHUNKED \t ",
            "Transfer-Encoding: Chunked",
        ])
    func chunked(_ line: String) {
        #expect(request(Self.start + line + "\r\n\r\n").text.contains(" chunked keep=true"))
    }

    @Test(
        "names that resemble it are other fields and frame nothing",
        arguments: [
            "Transfer_Encoding: chunked", "TransferEncoding: chunked", "Transfer-Encoding-: chunked",
            "X-Transfer-Encoding: chunked", "Content_Length: 5", "Content-Length-: 5", "ContentLength: 5",
        ])
    func lookAlikes(_ line: String) {
        let verdict = request(Self.start + line + "\r\n\r\n")
        #expect(verdict.text.contains(" none keep=true"))
        #expect(!verdict.text.contains("[transferEncoding|"))
        #expect(!verdict.text.contains("[contentLength|"))
    }

    @Test(
        "odd spellings of Content-Length",
        arguments: [
            "Content-Length:", "Content-Length: ", "Content-Length: +5", "Content-Length: -5", "Content-Length: -0",
            "Content-Length: 0x5", "Content-Length: 5,5", "Content-Length: 5, 5", "Content-Length: 5 5",
            "Content-Length: 5.0", "Content-Length: 5e0", "Content-Length: 1_000", "Content-Length: five",
            "Content-Length: 5;", "Content-Length: \"5\"", "Content-Length: 9223372036854775808",
            "Content-Length: 18446744073709551616", "Content-Length: 18446744073709551621",
            "Content-Length: 99999999999999999999999999999999", "Content-Length: \u{664}", "Content-Length: 5\u{a0}",
            "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5\r\nContent-Length:",
            "Content-Length: 0\r\ncontent-length: 5", "Content-Length : 5", "Content-Length\u{0}: 5",
            "Content-Length:\r\n 5", "Content-Length: 5\u{b}",
        ])
    func oddLengths(_ line: String) {
        #expect(request(Self.start + line + "\r\n\r\n").status == 400)
    }

    @Test(
        "what is accepted as a length",
        arguments: [
            ("Content-Length: 0", "length(0)"), ("content-length:5", "length(5)"),
            ("Content-Length: \t 007 ", "length(7)"),
            ("Content-Length: 9223372036854775807", "length(9223372036854775807)"),
        ])
    func lengths(_ line: String, _ framing: String) {
        #expect(request(Self.start + line + "\r\n\r\n").text.contains(" \(framing) keep=true"))
    }

    @Test("HTTP/1.0 has no chunked coding")
    func oldVersion() {
        let text = "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"
        #expect(request(text).status == 400)
    }

    @Test(
        "the same odd framing in an answer is malformed",
        arguments: [
            "Transfer-Encoding: chunked\r\nContent-Length: 3", "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", "Content-Length: 3\r\nContent-Length: 3",
            "Content-Length: 3, 3", "Content-Length: +3", "Content-Length:", "Content-Length : 3", "X: y\n",
            "X: a\r\n b", "Transfer-Encoding: identity",
        ])
    func answers(_ lines: String) {
        #expect(response(Array("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n".utf8)).status != nil)
        #expect(response(Array("HTTP/1.1 200 OK\r\n\(lines)\r\n\r\n".utf8), answering: .head).status != nil)
    }
}
