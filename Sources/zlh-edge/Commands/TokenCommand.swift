import ArgumentParser
import Config
import Glibc
import Identity

/// `zlh-edge token`: launch keys and launch tokens by hand.
struct TokenCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token",
        abstract: "Make launch keys, issue launch tokens, look into them.",
        discussion: """
            Example: zlh-edge token keygen --out keys
            """,
        subcommands: [Keygen.self, Issue.self, Inspect.self])

    /// Ends the command with a line on standard error and an exit code of ours.
    static func failure(_ message: String, _ code: Int32) -> ExitCode {
        let line = Array("error: \(message)\n".utf8)
        _ = unsafe line.withUnsafeBytes { unsafe write(2, $0.baseAddress, $0.count) }
        return ExitCode(code)
    }

    /// The arguments are wrong.
    static func misuse(_ message: String) -> ExitCode { failure(message, 64) }

    /// The configuration, or a file it names, is wrong.
    static func badConfig(_ message: String) -> ExitCode { failure(message, 78) }

    static func load(_ path: String) throws -> EdgeConfig {
        do {
            return try EdgeConfig.load(path: path, environment: processEnvironment())
        } catch {
            throw badConfig("\(error)")
        }
    }

    static func keys(of config: EdgeConfig) throws -> KeySet {
        do {
            return try KeySet.load(path: config.ide.launch.keysPath)
        } catch {
            throw badConfig("\(error)")
        }
    }
}

extension TokenCommand {
    /// `zlh-edge token keygen`.
    struct Keygen: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "keygen",
            abstract: "Make an Ed25519 pair: a private PEM for the issuer, a JWKS for the gateway.",
            discussion: """
                Never overwrites. To replace a key, add the new one's entry to the JWKS the gateway reads, let the \
                issuer sign with it, and remove the old entry when its last token has expired.

                Example: zlh-edge token keygen --out keys
                """)

        @Option(help: "The directory to write to.")
        var out: String

        func run() throws {
            do {
                let made = try LaunchKeys.generateEd25519(into: out)
                print("private key  \(made.privatePEMPath)  (0600, for the issuer only)")
                print("JWKS         \(made.jwksPath)  (for ide.launch.keys)")
                print("kid          \(made.kid)")
            } catch {
                throw misuse("\(error)")
            }
        }
    }
}
