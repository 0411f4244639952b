import Observe
import Testing
import Wire

@Suite struct EscapeTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let bytes: [UInt8]
        let escaped: String
        var testDescription: String { escaped }

        init(_ bytes: [UInt8], _ escaped: String) {
            self.bytes = bytes
            self.escaped = escaped
        }

        init(_ text: String, _ escaped: String) {
            self.init(Array(text.utf8), escaped)
        }
    }

    static let cases = [
        Case("plain /path?no=query", "plain /path?no=query"),
        Case("\"\\", #"\"\\"#),
        Case("\r\n\t\0\u{1b}[31m\u{7f}", #"\r\n\t\u0000\u001b[31m\u007f"#),
        Case("\"}\n{\"level\":\"error\"", #"\"}\n{\"level\":\"error\""#),
        Case("grüße 日本 🎮", "grüße 日本 🎮"),
        // C1 controls, line separators, direction marks, byte order mark.
        Case("a\u{85}b\u{9b}c", #"a\u0085b\u009bc"#),
        Case("\u{2028}\u{2029}\u{202e}\u{2066}\u{200b}\u{feff}", #"\u2028\u2029\u202e\u2066\u200b\ufeff"#),
        // Not characters: YAML refuses them.
        Case("\u{fffe}\u{ffff}", #"\ufffe\uffff"#),
        Case("\u{61c}\u{61b}\u{200a}\u{2010}", #"\u061c"# + "\u{61b}\u{200a}\u{2010}"),
        // Not UTF-8: stray, overlong, surrogate, too large, cut short.
        Case([0x61, 0x80, 0x62], #"a\ufffdb"#),
        Case([0xc0, 0x8a], #"\ufffd\ufffd"#),
        Case([0xe0, 0x80, 0x8a], #"\ufffd\ufffd\ufffd"#),
        Case([0xed, 0xa0, 0x80], #"\ufffd\ufffd\ufffd"#),
        Case([0xf4, 0x90, 0x80, 0x80], #"\ufffd\ufffd\ufffd\ufffd"#),
        Case([0xf0, 0x9f, 0x8e], #"\ufffd\ufffd\ufffd"#),
        Case([0xe2, 0x82, 0x22], #"\ufffd\ufffd\""#),
        Case([0xff, 0xfe], #"\ufffd\ufffd"#),
        Case([0xf4, 0x8f, 0xbf, 0xbf], "\u{10ffff}"),
        Case([], ""),
    ]

    @Test(arguments: cases) func escapes(_ example: Case) throws {
        #expect(text { $0.append(escaping: example.bytes.span) } == example.escaped)
        let expected = String(decoding: example.bytes, as: UTF8.self)
        let line = Array("{\"v\":\"".utf8) + bytes { $0.append(escaping: example.bytes.span) } + Array("\"}".utf8)
        // The standard library replaces maximal parts by one U+FFFD, ours each byte: equal after folding them.
        guard case .text(let back) = try parse(line)["v"] else { throw NotText() }
        #expect(fold(back) == fold(expected))
    }

    struct NotText: Error {}

    func fold(_ text: String) -> String {
        String(
            String.UnicodeScalarView(
                text.unicodeScalars.reduce(into: []) { scalars, next in
                    if next != "\u{fffd}" || scalars.last != "\u{fffd}" { scalars.append(next) }
                }))
    }

    @Test func longValuesAreCutBetweenCharacters() {
        let long = Array(String(repeating: "x", count: ByteBuffer.logFieldBytes + 1).utf8)
        let line = text { $0.field("v", long.span) }
        #expect(line == ",\"v\":\"" + String(repeating: "x", count: ByteBuffer.logFieldBytes) + "\u{2026}\"")
        for limit in 0..<12 {
            let cut = text { $0.append(escaping: Array("日本🎮é".utf8).span, limit: limit) }
            #expect(cut == (limit < 3 ? "" : limit < 6 ? "日" : limit < 10 ? "日本" : "日本🎮") + "\u{2026}")
        }
        #expect(text { $0.append(escaping: Array("日本🎮é".utf8).span, limit: 12) } == "日本🎮é")
        // What only looks like the inside of a character is cut where the limit is, or little before.
        #expect(text { $0.append(escaping: [UInt8](repeating: 0x80, count: 9).span, limit: 5) }.utf8.count == 2 * 6 + 3)
    }

    /// Any bytes at all: one line, printable, and what a parser reads back is what came in.
    @Test func anyBytesStayInsideTheirLine() throws {
        var random = SystemRandomNumberGenerator()
        let nasty: [UInt8] = [0x22, 0x5c, 0x0a, 0x0d, 0x00, 0x7f, 0xc2, 0x85, 0xe2, 0x80, 0xa8, 0xed, 0xf0, 0x9f]
        for _ in 0..<3000 {
            let raw = (0..<Int.random(in: 0...64, using: &random)).map { _ in
                Bool.random(using: &random)
                    ? nasty.randomElement(using: &random)! : .random(in: 0...255, using: &random)
            }
            let line = bytes {
                $0.beginLog(.info, "fuzz", epochMs: 0)
                $0.field("v", raw.span)
                $0.field("after", 1)
                $0.endLog()
            }
            #expect(line.last == 0x0a && line.dropLast().allSatisfy { $0 >= 0x20 && $0 != 0x7f })
            let members = try parse(line)
            #expect(members.count == 5 && members["after"] == .number(1))
            guard case .text(let back) = members["v"] else { throw NotText() }
            #expect(fold(back) == fold(String(decoding: raw, as: UTF8.self)), "\(raw)")
        }
    }
}
