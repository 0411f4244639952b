import ArgumentParser
import Config
import Glibc
import Routing
import Supervisor
import Wire

/// `zlh-edge check`: everything that is wrong with the files, in one go, without starting anything.
struct CheckCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Validate the configuration, the routes, certificates and keys.",
        discussion: """
            Prints every problem as "file:line: what is wrong and how to mend it". Warnings do not fail.

            Example: zlh-edge check --config config/edge.yaml
            """)

    @Option(help: "The configuration file.")
    var config = "config/edge.yaml"

    func run() throws {
        let nghttp2 = NGHTTP2Fixes.ofThisProcess()
        let found = problems(of: config, nghttp2)
        for problem in found { print(problem) }
        print("\(Version.openSSL), nghttp2 \(nghttp2.version)")
        if found.contains(where: { !$0.isWarning }) { throw ExitCode(78) }
        print("\(config): ok")
    }

    private func problems(of path: String, _ nghttp2: NGHTTP2Fixes) -> [ConfigProblem] {
        let inspected: EdgeConfig.Inspected
        do {
            inspected = try EdgeConfig.inspect(path: path, environment: processEnvironment())
        } catch {
            return error.problems + error.warnings
        }
        let config = inspected.config
        var found = inspected.problems + config.warnings
        if inspected.judgesRoutes { found += problems(ofRoutes: config) }
        found += extraProblems(config)
        return found
            + hostWarnings(config, nghttp2).map { ConfigProblem(file: path, line: 1, message: $0, isWarning: true) }
    }

    /// What is odd about this machine or user rather than about a line.
    private func hostWarnings(_ config: EdgeConfig, _ nghttp2: NGHTTP2Fixes) -> [String] {
        var warnings: [String] = []
        if geteuid() == 0 {
            warnings.append("running as root; use a user of its own with CAP_NET_BIND_SERVICE or socket activation")
        }
        let fronts = config.listen.https + config.listen.http + config.listen.minecraft
        let listeners = fronts + [config.listen.metrics].compactMap(\.self)
        if listeners.contains(where: { !$0.address.isIPv4 }), !LocalAddresses.haveIPv6 {
            warnings.append("this host has no IPv6; the IPv6 listeners will be left out")
        }
        if let warning = nghttp2.warning { warnings.append(warning) }
        return warnings
    }

    private func problems(ofRoutes config: EdgeConfig) -> [ConfigProblem] {
        do {
            let loaded = try RoutesFile.load(
                path: config.routesPath, against: config, previous: nil, force: true, generation: 0)
            guard config.listen.minecraft.isEmpty, !loaded.table.minecraft.isEmpty else { return loaded.warnings }
            let message =
                "nothing reaches the \"minecraft\" routes: \"listen.minecraft\" is empty; list an address there"
            return loaded.warnings
                + [ConfigProblem(file: config.routesPath, line: 1, message: message, isWarning: true)]
        } catch {
            return error.problems + error.warnings
        }
    }
}

/// What only the code that uses them can say of certificates and launch keys.
func extraProblems(_ config: EdgeConfig) -> [ConfigProblem] {
    ConfigFiles.problems(of: config)
}

/// The environment as `${NAME}` in the configuration sees it.
func processEnvironment() -> [String: String] {
    var variables: [String: String] = [:]
    var entry = unsafe environ
    while let text = unsafe entry.pointee {
        let pair = unsafe String(cString: text).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        if pair.count == 2 { variables[String(pair[0])] = String(pair[1]) }
        unsafe entry += 1
    }
    return variables
}
