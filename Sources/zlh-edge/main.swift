import ArgumentParser
import Glibc
import Supervisor

/// The edge gateway of a hosting platform: browser IDEs over HTTPS and WebSocket.
struct EdgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zlh-edge",
        abstract: "An edge gateway for browser IDEs and Minecraft servers.",
        discussion: """
            Try it without any configuration:  zlh-edge demo
            Run it:                            zlh-edge run --config config/edge.yaml
            """,
        version: "zlh-edge \(Version.text) (\(Version.openSSL))",
        subcommands: [RunCommand.self, DemoCommand.self, CheckCommand.self, TokenCommand.self])
}

/// Opens /dev/null on whichever of the standard descriptors the parent closed: the next file would get its number, and
/// what is printed or logged would be written into that file.
func openStandardDescriptors() {
    for descriptor in Int32(0)...2 where fcntl(descriptor, F_GETFD) < 0 {
        // The lowest free number is this one.
        _ = unsafe open("/dev/null", O_RDWR)
    }
}

openStandardDescriptors()
EdgeCommand.main()
