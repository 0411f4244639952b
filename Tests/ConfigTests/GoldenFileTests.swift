import Config
import Glibc
import Routing
import Testing
import Wire

/// Every file below `Files` with the outcome beside it in `<name>.expected`. With ZLH_WRITE_EXPECTED set the outcomes
/// are written instead of compared; read the difference before committing it.
@Suite struct GoldenFileTests {
    static let folder = "\(packageRoot)/Tests/ConfigTests/Files"
    static let environment = [
        "DOMAIN": "env.example", "EMPTY": "", "FOUR": "4", "INJECTED": "a.example\nthreads: 3", "HTTPS": "0.0.0.0:443",
    ]

    static func cases(_ kind: String) -> [String] {
        listFolder("\(folder)/\(kind)").filter { !$0.hasSuffix(".expected") }.map { "\(kind)/\($0)" }
    }

    @Test(arguments: cases("edge/bad")) func refusesConfiguration(name: String) {
        let path = "\(Self.folder)/\(name)"
        let problems = #expect(throws: ConfigProblems.self) {
            try EdgeConfig.load(path: path, environment: Self.environment)
        }
        expect(name, problems.map { outcome($0.problems + $0.warnings) } ?? "")
    }

    @Test(arguments: cases("edge/good")) func takesConfiguration(name: String) throws {
        var config = try EdgeConfig.load(path: "\(Self.folder)/\(name)", environment: Self.environment)
        let warnings = outcome(config.warnings)
        config.warnings = []
        expect(name, differences(config) + warnings)
    }

    @Test(arguments: cases("routes/bad")) func refusesRoutes(name: String) {
        let path = "\(Self.folder)/\(name)"
        let problems = #expect(throws: ConfigProblems.self) {
            try RoutesFile.load(path: path, against: Self.config, previous: nil, force: false, generation: 1)
        }
        expect(name, problems.map { outcome($0.problems + $0.warnings) } ?? "")
    }

    @Test(arguments: cases("routes/good")) func takesRoutes(name: String) throws {
        let loaded = try RoutesFile.load(
            path: "\(Self.folder)/\(name)", against: Self.config, previous: nil, force: false, generation: 1)
        expect(name, describe(loaded.table) + outcome(loaded.warnings))
    }

    private static var config: EdgeConfig {
        var config = EdgeConfig()
        config.listen.https.append(.init("10.50.0.1:443")!)
        return config
    }

    private func outcome(_ problems: [ConfigProblem]) -> String {
        problems.map { "\($0.line): \($0.isWarning ? "warning: " : "")\($0.message)\n" }.joined()
    }

    private func expect(_ name: String, _ outcome: String) {
        let path = "\(Self.folder)/\(name).expected"
        if unsafe getenv("ZLH_WRITE_EXPECTED") != nil { writeFile(path, Array(outcome.utf8)) }
        #expect(outcome == readFile(path).map { String(decoding: $0, as: UTF8.self) })
    }

    private func describe(_ table: RouteTable) -> String {
        let ide = table.ide.map { route in
            "ide \(route.vmid) \(route.endpoint) \(route.generation)\(route.isConflicted ? " conflicted" : "")\n"
        }
        let minecraft = table.minecraft.map { route in
            let backends = route.backends.map { "\($0.endpoint)*\($0.weight)" }.joined(separator: ",")
            return "minecraft \(route.host) \(route.kind) \(backends) \(route.balance) \(route.proxyProtocol) "
                + "health=\(route.health) max=\(route.maximumPlayers) motd=\(describe(route.offlineMotd)) kick=\(describe(route.offlineKick))\n"
        }
        return (ide + minecraft + table.revoked.map { "revoked \($0)\n" }).joined()
    }

    private func describe(_ text: ChatText?) -> String {
        switch text {
        case .plain(let text): "'\(text)'"
        case .component(let json): json
        case nil: "-"
        }
    }

    /// The values that are not the default, one a line.
    private func differences(_ config: EdgeConfig) -> String {
        var lines: [String] = []
        func walk(_ name: String, _ value: Any, _ standard: Any) {
            let mirror = Mirror(reflecting: value)
            if mirror.displayStyle == .struct, !mirror.children.isEmpty, !(value is any CustomStringConvertible) {
                for (child, other) in zip(mirror.children, Mirror(reflecting: standard).children) {
                    walk("\(name).\(child.label ?? "")", child.value, other.value)
                }
            } else if "\(value)" != "\(standard)" {
                lines.append("\(name) = \(value)\n")
            }
        }
        var standard = EdgeConfig()
        standard.threads = config.threads
        walk("", config, standard)
        return lines.joined().split(separator: "\(Self.folder)/", omittingEmptySubsequences: false).joined()
    }
}
