import ArgumentParser
import Glibc
import Supervisor

/// `zlh-edge run`: the gateway, in the foreground.
struct RunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Run the gateway in the foreground.",
        discussion: """
            Logs are JSON lines on standard output. SIGHUP reads the files again; SIGTERM and SIGINT finish what is open \
            and exit, a second one exits at once.

            Example: zlh-edge run --config /etc/zlh-edge/edge.yaml
            """)

    @Option(help: "The configuration file.")
    var config = "config/edge.yaml"

    func run() throws {
        do {
            try Supervisor.run(configPath: config, environment: processEnvironment(), options: RunOptions())
            endProcess(0)
        } catch let failure as LoopFailure {
            StandardError.write("zlh-edge: \(failure)\n")
            endProcess(70)
        } catch {
            failWithConfiguration("\(error)")
        }
    }
}

/// Says on standard error why the configuration cannot be used, and exits with its code.
func failWithConfiguration(_ message: String) -> Never {
    StandardError.write("zlh-edge: \(message)\n")
    endProcess(78)
}

/// Ends the process without exit(3)'s hooks: threads that still run would use what those take apart, OpenSSL's tables
/// above all.
func endProcess(_ status: Int32) -> Never {
    fflush(nil)
    _exit(status)
}
