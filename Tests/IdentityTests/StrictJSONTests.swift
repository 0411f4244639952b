import Testing

@testable import Identity

@Suite struct StrictJSONTests {
    private func parse(_ text: String, depth: Int = 4, members: Int = 32) throws(StrictJSON.Failure) -> JSONValue {
        try StrictJSON.parse(Array(text.utf8), depthAtMost: depth, membersAtMost: members)
    }

    @Test(
        "values are exact",
        arguments: [
            ("0", .integer(0)), ("-0", .integer(0)), ("9223372036854775807", .integer(.max)),
            ("-9223372036854775808", .integer(.min)), ("9223372036854775808", .number("9223372036854775808")),
            ("1101.0", .number("1101.0")), ("1e3", .number("1e3")), ("1E+3", .number("1E+3")),
            ("-0.5e-7", .number("-0.5e-7")), (" true ", .bool(true)), ("false", .bool(false)), ("null", .null),
            (#""""#, .string("")), (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")),
            (#""\u00e9\u20AC\uD83E\udd8a""#, .string("é€🦊")), (#""\u0000""#, .string("\0")),
            (#""é🦊""#, .string("é🦊")), ("[]", .array([])), ("[1,[2]]", .array([.integer(1), .array([.integer(2)])])),
            ("{}", .object([])), (#"{ "a" : 1 }"#, .object([.init(name: "a", value: .integer(1))])),
            ("\u{7f}", nil), ("\"\u{7f}\"", .string("\u{7f}")),
        ] as [(String, JSONValue?)])
    func accepted(_ text: String, _ expected: JSONValue?) throws {
        if let expected {
            #expect(try parse(text) == expected)
        } else {
            #expect(throws: StrictJSON.Failure.self) { try parse(text) }
        }
    }

    @Test(
        "what is no JSON is refused",
        arguments: [
            "", " ", "{", "}", "[", "]", "[1,]", "[,1]", "[1 2]", "{,}", #"{"a"}"#, #"{"a":}"#, #"{"a":1,}"#,
            #"{"a" 1}"#, "{a:1}", "{'a':1}", #"{1:1}"#, "01", "-01", "00", "+1", ".5", "1.", "1.e3", "1e", "1e+", "--1",
            "-", "0x10", "1_000", "NaN", "Infinity", "-Infinity", "tru", "TRUE", "truee", "nul", "nulll", "1 1", "{}{}",
            "\"", #""\""#, #""\x""#, #""\u12""#, #""\u12g4""#, #""\U0041""#, #""\ud800""#, #""\udc00""#,
            #""\ud800\ud800""#, #""\ud800x""#, #""\ud83e\n""#, "\"\n\"", "\"\t\"", "\"\u{1f}\"", "\u{feff}{}",
            "\u{a0}1", "1\u{0}", "/**/1", "1//", "\u{c}1", "\u{b}1", "#", "undefined",
        ])
    func refused(_ text: String) {
        #expect(throws: StrictJSON.Failure.self) { try parse(text) }
    }

    @Test("duplicates are refused however they are written")
    func duplicates() {
        #expect(throws: StrictJSON.Failure.duplicateMember("a")) { try parse(#"{"a":1,"b":2,"a":3}"#) }
        #expect(throws: StrictJSON.Failure.duplicateMember("a")) { try parse(#"{"a":1,"\u0061":3}"#) }
        #expect(throws: StrictJSON.Failure.duplicateMember("")) { try parse(#"[{"":1,"":3}]"#) }
        #expect(throws: Never.self) { try parse(#"{"a":{"a":{"a":1}}}"#) }
    }

    @Test("depth and members are bounded")
    func bounds() {
        #expect(throws: Never.self) { try parse("[[[[1]]]]") }
        #expect(throws: StrictJSON.Failure.tooDeep) { try parse("[[[[[]]]]]") }
        #expect(throws: StrictJSON.Failure.tooDeep) { try parse(#"{"a":[{"b":[{}]}]}"#) }
        #expect(throws: StrictJSON.Failure.tooDeep) { try parse(String(repeating: "[", count: 100_000)) }
        #expect(throws: Never.self) { try parse(#"{"a":{"b":1}}"#, members: 2) }
        #expect(throws: StrictJSON.Failure.tooManyMembers) { try parse(#"{"a":{"b":1},"c":1}"#, members: 2) }
    }

    @Test(
        "bytes that are not UTF-8 are refused",
        arguments: [
            [0x22, 0xff, 0x22], [0x22, 0xc1, 0x81, 0x22], [0x22, 0xed, 0xa0, 0x80, 0x22], [0x22, 0xe2, 0x82, 0x22],
            [0x22, 0xf4, 0x90, 0x80, 0x80, 0x22], [0x22, 0xf0, 0x80, 0x80, 0x80, 0x22], [0x80],
        ] as [[UInt8]])
    func encoding(_ bytes: [UInt8]) {
        #expect(throws: StrictJSON.Failure.notUTF8) { try StrictJSON.parse(bytes, membersAtMost: 1) }
    }

    @Test("what was read is written so that it reads the same, mutated at random too")
    func roundTrip() throws {
        var random = SeededGenerator(state: 3)
        let seed = Array(#"{"a":[1,-2.5e3,"x\u00e9\n\ud83e\udd8a",{"b":null,"c":[true,false]}],"d":"\"\\/","":0}"#.utf8)
        var read = 0
        for _ in 0..<20_000 {
            guard let value = try? StrictJSON.parse(mutated(seed, &random), membersAtMost: 32) else { continue }
            read += 1
            #expect(try parse(value.text) == value)
        }
        #expect(read > 500, "the mutations are too wild to test anything")
    }

    @Test("text for terminals and logs holds no control characters")
    func quoting() {
        let all = String(
            String.UnicodeScalarView((0..<0x180).compactMap(Unicode.Scalar.init) + ["\u{2028}", "\u{2029}"]))
        let text = JSONValue.string(all).text
        #expect(text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
    }
}
