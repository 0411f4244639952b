import ArgumentParser
import Supervisor

/// The edge gateway of a hosting platform: browser IDEs over HTTPS and WebSocket.
struct EdgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zlh-edge",
        abstract: "An edge gateway for browser IDEs.",
        discussion: """
            Try it without any configuration:  zlh-edge demo
            Run it:                            zlh-edge run --config config/edge.yaml
            """,
        version: "zlh-edge \(Version.text) (\(Version.openSSL))",
        subcommands: [RunCommand.self, DemoCommand.self, CheckCommand.self, TokenCommand.self])
}

EdgeCommand.main()
