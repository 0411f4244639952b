import Testing

@testable import Wire

@Suite("what may stand in a field")
struct FieldTextTests {
    private static let separators: Set<UInt8> = Set("()<>@,;:\\\"/[]?={} \t".utf8)

    @Test("each byte, wherever it stands", arguments: [UInt8](0...255))
    func eachByte(_ byte: UInt8) {
        let visible = (0x21...0x7e).contains(byte)
        let token = visible && !Self.separators.contains(byte)
        let isCapital = (0x41...0x5a).contains(byte)
        for count in [1, 2, 7, 8, 15, 16, 17, 33] {
            for place in [0, count / 2, count - 1] {
                var bytes = [UInt8](repeating: 0x61, count: count)
                bytes[place] = byte
                #expect(isToken(bytes) == token)
                #expect(isName(bytes) == (token && !isCapital))
                #expect(isVisible(bytes) == visible)
                #expect(isValue(bytes) == (byte == 0x09 || byte >= 0x20 && byte != 0x7f))
            }
        }
    }

    @Test("what follows an odd byte is judged too", arguments: ["##\u{7f}", "a_b c", "_: ", "\t\t\u{1}", "!A "])
    func afterOddBytes(_ text: String) {
        let bytes = Array(text.utf8)
        #expect(!isName(bytes))
        #expect(!isToken(bytes))
        #expect(!isVisible(bytes))
        #expect(isValue(bytes) == !bytes.contains { $0 == 0x7f || $0 == 1 })
    }

    @Test("nothing is no name, but a value")
    func nothing() {
        let nothing: [UInt8] = []
        #expect(!isName(nothing))
        #expect(!isToken(nothing))
        #expect(!isVisible(nothing))
        #expect(isValue(nothing))
    }

    @Test(
        "a line",
        arguments: [
            ("A: b\r\n", "A", "b"), ("A:b\r\nC: d\r\n", "A", "b"), ("A:\r\n", "A", ""), ("A: \t \r\n", "A", ""),
            ("X_y!:\t b\tc \t\r\n", "X_y!", "b\tc"), ("A: b: c\r\n", "A", "b: c"),
            ("content-security-policy: default-src 'self'; x\r\n", "content-security-policy", "default-src 'self'; x"),
        ])
    func line(_ text: String, _ name: String, _ value: String) throws {
        let bytes = Array("..\(text)".utf8)
        let found = FieldLine(bytes.span, at: 2)
        let line = try #require(found)
        #expect(String(decoding: bytes[line.name], as: UTF8.self) == name)
        #expect(String(decoding: bytes[line.value], as: UTF8.self) == value)
        #expect(bytes[..<line.end].suffix(2).elementsEqual([0x0d, 0x0a]))
        #expect(!bytes[2..<line.end - 2].contains(0x0a))
    }

    @Test(
        "no line",
        arguments: [
            "", "\r\n", "A", "A:", "A: b", "A: b\r", "A: b\n", "A: b\rc\r\n", "A: b\nC: d\r\n", ": b\r\n", "A : b\r\n",
            " A: b\r\n", "A\u{0}: b\r\n", "A: \u{0}\r\n", "A: \u{7f}\r\n", "é: b\r\n", "A b\r\n",
        ])
    func noLine(_ text: String) {
        let bytes = Array(text.utf8)
        let isLine = FieldLine(bytes.span, at: 0) != nil
        #expect(!isLine)
    }

    @Test("case is ignored of letters alone", arguments: [UInt8](0...255))
    func caseOfLetters(_ byte: UInt8) {
        for count in [1, 4, 8, 9, 20] {
            for place in [0, count / 2, count - 1] {
                var bytes = [UInt8](repeating: 0x4d, count: count)
                bytes[place] = byte
                for other in [byte, byte ^ 0x20, byte ^ 0x80, byte &+ 1] {
                    var others = [UInt8](repeating: 0x6d, count: count)
                    others[place] = other
                    let expected = Byte.lowered(byte) == Byte.lowered(other)
                    let agree = HTTPSpan.equalsIgnoringCase(bytes.span, others.span)
                    #expect(agree == expected)
                }
            }
        }
    }
}

private func isToken(_ bytes: [UInt8]) -> Bool { FieldText.isToken(bytes.span) }
private func isName(_ bytes: [UInt8]) -> Bool { FieldText.isName(bytes.span) }
private func isVisible(_ bytes: [UInt8]) -> Bool { FieldText.isVisible(bytes.span) }
private func isValue(_ bytes: [UInt8]) -> Bool { FieldText.isValue(bytes.span) }
