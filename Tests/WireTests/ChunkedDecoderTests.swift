import Testing
import Wire

@Suite("the chunked coding")
struct ChunkedDecoderTests {
    /// Decodes in every way; the verdict holds the payload and where the coding ended.
    private func decode(_ text: String, extensionBytes: Int = 256, extensionsBytes: Int = 16384) -> Verdict {
        let bytes = Array(text.utf8)
        var decoder = ChunkedDecoder()
        var at = 0
        var payload: [UInt8] = []
        return feedEveryWay(bytes) { count, isNew in
            if isNew {
                decoder = ChunkedDecoder(extensionBytes: extensionBytes, extensionsBytes: extensionsBytes)
                at = 0
                payload = []
            }
            let span = bytes.span.extracting(0..<count)
            while true {
                switch decoder.next(span, from: at) {
                case .data(let range):
                    guard range.lowerBound >= at, range.upperBound <= count, !range.isEmpty else {
                        return Verdict(text: "a range that makes no sense: \(range)")
                    }
                    payload += bytes[range]
                    at = range.upperBound
                case .needMore(let consumed):
                    guard consumed == count else { return Verdict(text: "left \(count - consumed) bytes") }
                    at = consumed
                    return Verdict(text: "partial")
                case .lastChunk(let consumed):
                    return Verdict(text: "complete \(consumed) \(String(decoding: payload, as: UTF8.self))")
                case .malformed: return Verdict(text: "malformed", status: 400)
                }
            }
        }
    }

    @Test(
        "bodies",
        arguments: [
            ("0\r\n", "complete 3 "), ("0\r\n\r\n", "complete 3 "), ("000\r\nX: y\r\n\r\n", "complete 5 "),
            ("5\r\nhello\r\n0\r\n", "complete 13 hello"), ("1\r\na\r\n2\r\nbc\r\n0\r\n", "complete 16 abc"),
            ("A\r\n0123456789\r\n0\r\n", "complete 18 0123456789"),
            ("a\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n", "complete 18 \r\n\r\n\r\n\r\n\r\n"),
            ("0000000000000001\r\na\r\n0\r\n", "complete 24 a"),
        ])
    func bodies(_ text: String, _ expected: String) {
        #expect(decode(text).text == expected)
    }

    @Test(
        "extensions are checked and dropped",
        arguments: [
            "0;a\r\n", "0;a=b\r\n", "0;a=\"b\"\r\n", "0;a=\"b;c\\\"d\"\r\n", "0;a=b;c;d=\"\"\r\n", "0 ; a = b\r\n",
            "0\t;a\t=\t\"x\" ;b\r\n", "0;a=\"\u{e9}\"\r\n", "0;a ;b\r\n",
        ])
    func extensions(_ text: String) {
        #expect(decode(text).text == "complete \(text.utf8.count) ")
    }

    @Test(
        "what is refused",
        arguments: [
            "\r\n", "x\r\n", "-1\r\n", "+1\r\n", "0x1\r\n", " 1\r\n", "1 \r\n", "1\n", "1\r", "1\r\r\n", "5\rhello",
            "1\r\na\n",
            "1\r\nab\r\n", "1\r\na\r\r", "1\r\na0\r\n", "g\r\n", "1_0\r\n", "1,2\r\n", "00000000000000001\r\n",
            "8000000000000000\r\n", "ffffffffffffffff\r\n", "10000000000000000\r\n", "0;\r\n", "0;;a\r\n", "0;=b\r\n",
            "0;a=\r\n", "0;a=b c\r\n", "0;a=\"b\r\n", "0;a=\"b\n\"\r\n", "0;a=\"b\"c\r\n", "0;a\nb\r\n", "0;a\r\r\n",
            "0;a\rb\r\n", "0;a=\"\\\r\n\"\r\n", "0;a\u{0}\r\n", "0;a=\"\u{1}\"\r\n", "0;a \r\n", "0 a\r\n",
            "0;a=b=c\r\n",
            "0;a/b\r\n", "\n", "1\r\na\r\n\r\n",
        ])
    func refused(_ text: String) {
        let verdict = decode(text)
        #expect(verdict.status == 400 || text == "1\r" && verdict.isPartial, "\(verdict)")
    }

    @Test("the greatest size is only a promise", arguments: ["7fffffffffffffff", "7FFFFFFFFFFFFFFF"])
    func greatest(_ size: String) {
        #expect(decode(size + "\r\nabc").isPartial)
    }

    @Test(
        "attacks that end a line elsewhere",
        arguments: [
            // TERM.EXT, EXT.TERM and spill (2025): a bare LF in the chunk line, in an extension or behind the data.
            "2;\nxx\r\n4c\r\n0\r\n", "2\nxx\r\n0\r\n", "2\r\nxx\n0\r\n", "2;a\nxx\r\n0\r\n",
            "2;a=\"\n\"\r\nxx\r\n0\r\n",
            "2\r\nxxy\r\n0\r\n", "3\r\nxx\r\n0\r\n",
        ])
    func attacks(_ text: String) {
        #expect(decode(text).status == 400)
    }

    @Test("bounds of the extensions")
    func bounds() {
        #expect(decode("0;" + String(repeating: "a", count: 255) + "\r\n").isComplete)
        #expect(decode("0;" + String(repeating: "a", count: 256) + "\r\n").status == 400)
        #expect(decode("0;" + String(repeating: "a", count: 256)).status == 400)
        let chunk = "1;" + String(repeating: "a", count: 9) + "\r\nx\r\n"
        #expect(decode(chunk + chunk + "0\r\n", extensionsBytes: 20).isComplete)
        #expect(decode(chunk + chunk + chunk + "0\r\n", extensionsBytes: 20).status == 400)
        #expect(decode(chunk + "0\r\n", extensionBytes: 9).status == 400)
    }

    @Test("which bound was exceeded")
    func exceeded() {
        let bytes = Array("1;aaaa\r\nx\r\n1;aaaa\r\n".utf8)
        for (chunk, body, expected) in [(4, 99, ChunkedDecoder.Bound.chunk), (5, 9, .body), (5, 10, nil)] {
            var decoder = ChunkedDecoder(extensionBytes: chunk, extensionsBytes: body)
            var at = 0
            reading: while true {
                switch decoder.next(bytes.span, from: at) {
                case .data(let range): at = range.upperBound
                case .needMore, .lastChunk, .malformed: break reading
                }
            }
            #expect(decoder.exceeded == expected)
        }
    }

    @Test("after the last chunk it says so again")
    func done() {
        var decoder = ChunkedDecoder()
        let bytes = Array("0\r\nX: y\r\n".utf8)
        guard case .lastChunk(3) = decoder.next(bytes.span, from: 0),
            case .lastChunk(3) = decoder.next(bytes.span, from: 3)
        else {
            Issue.record("not done")
            return
        }
    }
}
