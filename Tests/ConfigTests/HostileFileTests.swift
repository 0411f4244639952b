import Routing
import Testing

@testable import Config

/// Files that were cut, scrambled or made to hurt: refused or valid, never a crash, never slow.
@Suite struct HostileFileTests {
    let config = EdgeConfig()

    private func loadRoutes(_ bytes: [UInt8], name: String = "routes.yaml") -> RouteTable? {
        let source = SourceFile(path: name, bytes: bytes)
        _ = RoutesFile.revokedOnly(source)
        return try? RoutesFile.load(source, against: config, previous: nil, force: false, generation: 1).table
    }

    private func loadConfig(_ bytes: [UInt8]) -> EdgeConfig.Inspected? {
        try? EdgeConfig.inspect(SourceFile(path: "/edge.yaml", bytes: bytes), environment: [:])
    }

    @Test func routesCutAnywhereAreRefusedOrValid() throws {
        let bytes = try #require(readFile("\(packageRoot)/config/routes.yaml"))
        for count in 0...bytes.count {
            guard let table = loadRoutes(Array(bytes[..<count])) else { continue }
            #expect(table.ideCount <= 2)
            for route in table.ide { #expect(config.dialRules.refusal(of: route.endpoint) == nil) }
        }
        #expect(loadRoutes(bytes)?.ideCount == 2)
    }

    @Test func configurationCutAnywhereIsRefusedOrValid() throws {
        let bytes = try #require(readFile("\(packageRoot)/config/edge.yaml"))
        for count in 0...bytes.count { _ = loadConfig(Array(bytes[..<count])) }
        #expect(loadConfig(bytes)?.problems.isEmpty == true)
    }

    @Test(arguments: ["config/routes.yaml", "config/edge.yaml", "Tests/ConfigTests/Files/routes/good/json.json"])
    func scrambledFilesAreRefusedOrValid(name: String) throws {
        let original = try #require(readFile("\(packageRoot)/\(name)"))
        var random = Randomness(state: 0x9e37_79b9_7f4a_7c15)
        let interesting = Array("{}[]:,-#&*!|>'\"%@`\\ \t\r\n0~?$\u{0}\u{85}\u{feff}".utf8) + [0xff, 0xc0, 0x80]
        for _ in 0..<500 {
            var bytes = original
            for _ in 0...random.next(below: 4) {
                let at = random.next(below: bytes.count)
                switch random.next(below: 4) {
                case 0: bytes[at] = interesting[random.next(below: interesting.count)]
                case 1: bytes.insert(interesting[random.next(below: interesting.count)], at: at)
                case 2: bytes.remove(at: at)
                default:
                    bytes.replaceSubrange(at..<min(bytes.count, at + 20), with: bytes.suffix(random.next(below: 40)))
                }
            }
            if name.hasSuffix("edge.yaml") { _ = loadConfig(bytes) } else { _ = loadRoutes(bytes) }
            if name.hasSuffix(".json") { _ = loadRoutes(bytes, name: "routes.json") }
        }
    }

    /// Each a quarter megabyte of one trick. The bound is generous; the tricks that work take minutes.
    @Test(
        .timeLimit(.minutes(1)),
        arguments: [
            ("nested lists", "[", ""), ("nested mappings", "{a: ", ""), ("nested dashes", "- ", ""), ("keys", "? ", ""),
            ("anchors", "- &a b\n", ""), ("empty items", "- \n", ""), ("commas", "a,", "ide: ["),
            ("unknown keys", "k%: v\n", ""), ("bad vmids", "  x%: {}\n", "ide:\n"), ("same key", "a: b\n", ""),
            ("same route", "  1: { address: 10.0.0.1, generation: g }\n", "ide:\n"), ("comments", "#\n", "ide: {}\n"),
            ("blank lines", "\n", "ide: {}"), ("long text", "a", "ide: "), ("many lines", "a\n ", "ide: "),
            ("quotes", "''", "ide: "), ("escapes", "\\n", "ide: \""), ("directives", "%YAML 1.1\n", ""),
            ("tags", "!a ", ""), ("documents", "---\n", ""), ("block text", " \n", "ide: |\n"), ("colons", ":", ""),
            ("revocations", "- { user: % }\n", "ide: {}\nrevoked:\n"),
            ("bad revocations", "- { usr: % }\n", "revoked:\n"),
        ])
    func aLotOfOneTrick(name: String, unit: String, start: String) {
        var text = start
        var number = 0
        while text.utf8.count < 1 << 18 {
            number += 1
            text += unit.split(separator: "%", omittingEmptySubsequences: false).joined(separator: "\(number)")
        }
        _ = loadRoutes(Array(text.utf8))
        _ = loadConfig(Array(text.utf8))
    }
}
