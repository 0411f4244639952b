import ArgumentParser
import Config
import Glibc
import Identity

extension TokenCommand {
    /// `zlh-edge token inspect`.
    struct Inspect: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "inspect",
            abstract: "Show what a launch token says and how each check goes.",
            discussion: """
                Takes the token, a launch URL that holds it, or - to read either from standard input, which keeps it \
                out of the shell's history. Signature and claims are checked when --config names the keys.

                Example: zlh-edge token inspect --config config/edge.yaml eyJhbGciOi…
                """)

        @Argument(help: "The token, a launch URL, or -.")
        var token: String

        @Option(help: "The configuration file.")
        var config: String?

        @Flag(help: "Print one JSON object.")
        var json = false

        func run() throws {
            let text = token == "-" ? readLine() ?? "" : token
            let token = Self.token(in: text)
            let now = Int64(time(nil))
            let inspection: TokenInspection
            if let config {
                let config = try load(config)
                let verifier = LaunchVerifier(keys: try keys(of: config), policy: LaunchPolicy(config.ide))
                inspection = verifier.inspect(token, vmid: Self.vmid(in: text), now: now)
            } else {
                inspection = LaunchVerifier.decode(token)
            }
            print(json ? inspection.json : Self.table(inspection))
        }

        /// The value of `token` in a URL; anything else is the token itself.
        private static func token(in text: String) -> String {
            guard text.contains("://"), let query = text.split(separator: "?", maxSplits: 1).dropFirst().first,
                let pair = query.split(separator: "&").first(where: { $0.hasPrefix("token=") })
            else { return text }
            return String(pair.dropFirst(6).prefix { $0 != "#" })
        }

        /// The container of a launch URL's host.
        private static func vmid(in text: String) -> UInt32? {
            guard text.hasPrefix("https://dev-") else { return nil }
            return UInt32(text.dropFirst(12).prefix { $0.isASCII && $0.isNumber })
        }

        private static func table(_ inspection: TokenInspection) -> String {
            var lines = ["header  \(inspection.header ?? "cannot be read")"]
            lines.append("claims  \(inspection.claims ?? "cannot be read")")
            lines.append("")
            let width = inspection.checks.map(\.name.count).max() ?? 0
            for check in inspection.checks {
                let name = check.name + String(repeating: " ", count: width - check.name.count)
                let outcome = check.outcome.rawValue + String(repeating: " ", count: 7 - check.outcome.rawValue.count)
                lines.append("\(name)  \(outcome)  \(check.detail)")
            }
            lines.append("")
            let skipped = inspection.checks.contains { $0.outcome == .skipped }
            if let refusal = inspection.refusal {
                lines.append("refused: \(refusal.metric)")
            } else if skipped {
                lines.append("not decided: --config names the keys")
            } else {
                lines.append("good, unless it was used, is revoked, or its gen is not the route's")
            }
            return lines.joined(separator: "\n")
        }
    }
}

extension LaunchPolicy {
    /// What the configuration expects of a launch token.
    init(_ ide: EdgeConfig.IDE) {
        self.init(
            issuer: ide.launch.issuer, audience: ide.launch.audience, lifetimeAtMost: ide.launch.lifetimeAtMost,
            skew: ide.launch.skew, vmids: ide.vmids)
    }
}
