import Testing

@testable import Config

@Suite struct NearestKeyTests {
    @Test(arguments: [
        ("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("kitten", "sitting", 3),
        ("listne", "listen", 1), ("ca", "abc", 3),
    ])
    func editDistances(a: String, b: String, expected: Int) {
        #expect(editDistance(Array(a.utf8), Array(b.utf8)) == expected)
    }

    @Test(arguments: [("LISTEN", "listen"), ("routs", "routes"), ("gen", "generation"), ("x", "ide"), ("", "ide")])
    func nearest(key: String, expected: String) {
        #expect(nearestKey(to: key, among: ["listen", "routes", "generation", "ide"]) == expected)
    }

    @Test func aMegabyteOfKeyIsCutShort() {
        #expect(nearestKey(to: String(repeating: "a", count: 1 << 20), among: ["listen"]) == "listen")
        #expect(unknownKey(String(repeating: "a", count: 1 << 20), in: "", among: ["listen"]).utf8.count < 200)
    }
}

@Suite struct EnvironmentTests {
    @Test(arguments: [
        ("plain", "plain"), ("${A}", "1"), ("x${A}y${B}z", "x1y2z"), ("${C:-d}", "d"), ("${E:-d}", "d"), ("${E}", ""),
        ("${C:-}", ""), ("${A:-d}", "1"), ("$${A}", "${A}"), ("$$${A}", "$${A}"), ("$A", "$A"), ("$", "$"),
        ("a$", "a$"),
        ("${C:-a:-b}", "a:-b"), ("${C:-${A}", "${A"), ("é${A}é", "é1é"), ("${R}", "${A}"),
    ])
    func expands(text: String, expected: String) {
        var problems: [String] = []
        let environment = ["A": "1", "B": "2", "E": "", "R": "${A}"]
        #expect(YAMLDocument.expand(text, environment) { problems.append($0) } == expected)
        #expect(problems.isEmpty)
    }

    @Test(arguments: ["${C}", "${", "${A", "${}", "${ A }", "${A-d}", "${A:d}", "${:-d}", "${1}", "${A.B}"])
    func reports(text: String) {
        var problems: [String] = []
        _ = YAMLDocument.expand(text, ["A": "1"]) { problems.append($0) }
        #expect(problems.count == 1)
    }
}

@Suite struct JSONEscapesTests {
    @Test(arguments: [
        (#"\ud83c\udfae"#, #"\U0001f3ae"#), (#"a\uD83C\uDFAEb\ud83c\udfae"#, #"a\U0001f3aeb\U0001f3ae"#),
        (#"\\ud83c\udfae"#, #"\\ud83c\udfae"#), (#"\\\ud83c\udfae"#, #"\\\U0001f3ae"#),
        (#"\ud83c"#, #"\ud83c"#), (#"\ud83c\u0041"#, #"\ud83c\u0041"#), (#"\u00e9"#, #"\u00e9"#), ("\\", "\\"),
        (#"\ud83c\udfa"#, #"\ud83c\udfa"#), (#"\udbff\udfff"#, #"\U0010ffff"#), ("", ""),
    ])
    func joinsSurrogates(text: String, expected: String) {
        var bytes = Array(text.utf8)
        JSONEscapes.joinSurrogates(&bytes)
        #expect(String(decoding: bytes, as: UTF8.self) == expected)
    }
}

@Suite struct FilePathTests {
    @Test(arguments: [
        ("a.yaml", "/x", "/x/a.yaml"), ("../a", "/x/y", "/x/a"), ("/a/./b//c", "/x", "/a/b/c"),
        ("../../../a", "/x", "/a"),
        ("..", "/", "/"),
    ])
    func resolves(path: String, folder: String, expected: String) {
        #expect(FilePath.resolve(path, in: folder) == expected)
    }

    @Test func theFolderOfAFile() {
        #expect(FilePath.folder(of: "/etc/zlh-edge/edge.yaml") == "/etc/zlh-edge")
        #expect(FilePath.folder(of: "/edge.yaml") == "/")
        #expect(FilePath.folder(of: "edge.yaml").hasPrefix("/"))
    }
}

@Suite struct ProblemTests {
    @Test func aMessageStaysOnItsLine() {
        #expect(quoted("a\nb\u{1b}[31m") == "\"a\\u{a}b\\u{1b}[31m\"")
        #expect(quoted(String(repeating: "é", count: 1000)).unicodeScalars.count == 63)
    }

    @Test func aProblemIsOneLineForAnEditor() {
        let problem = ConfigProblem(file: "edge.yaml", line: 3, message: "no")
        #expect(problem.description == "edge.yaml:3: no")
        let warning = ConfigProblem(file: "edge.yaml", line: 3, message: "odd", isWarning: true)
        #expect(warning.description == "edge.yaml:3: warning: odd")
    }

    @Test func aFloodOfProblemsIsCutShort() {
        let problems = ProblemList(file: "f")
        for line in 1...500 { problems.error(line, "bad") }
        let found = problems.inFileOrder.problems
        #expect(found.count == 101)
        #expect(found.last?.message == "400 more problems are not listed")
    }
}
