import ArgumentParser
import Config
import Crypto
import Demo
import Glibc
import Identity
import Reactor
import Supervisor
import TLS
import Wire

/// `zlh-edge demo`: everything embedded, nothing to configure.
struct DemoCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Run the real gateway in front of a small demo container.",
        discussion: """
            Makes a development CA with a wildcard certificate and a launch key under a state folder, starts a demo \
            container (a page, an echo WebSocket, a shell) and a demo Minecraft server, and prints the launch URL. \
            Browsers resolve *.localhost themselves. The last line is "ready".

            Example: zlh-edge demo --json
            """)

    @Flag(help: "Print {url, ca, minecraft, admin} as JSON.")
    var json = false

    @Option(help: "Where certificates, keys and state are kept.")
    var state: String?

    func run() throws {
        do {
            try DemoRun(folder: state ?? DemoRun.defaultFolder, json: json).run()
            endProcess(0)
        } catch {
            failWithConfiguration("\(error)")
        }
    }
}

/// One run of the demo.
private struct DemoRun: Sendable {
    static let domain = "zlh.localhost"
    static let vmid: UInt32 = 1101
    static let generation = "demo"

    let folder: String
    let json: Bool

    /// `$XDG_STATE_HOME/zlh-edge-demo`, or below the home directory, or below `/tmp` without one.
    static var defaultFolder: String {
        let environment = processEnvironment()
        if let state = environment["XDG_STATE_HOME"], state.hasPrefix("/") { return "\(state)/zlh-edge-demo" }
        if let home = environment["HOME"], home.hasPrefix("/") { return "\(home)/.local/state/zlh-edge-demo" }
        return "/tmp/zlh-edge-demo-\(geteuid())"
    }

    func run() throws {
        Folder.make(folder)
        let now = Clock.epochMs() / 1000
        let certificates = try DevelopmentCertificates.make(in: folder, domain: Self.domain, nowEpoch: now)
        if unsafe access("\(folder)/\(LaunchKeys.keySetName)", R_OK) != 0 {
            _ = try LaunchKeys.generateEd25519(into: folder)
        }

        let container = try DemoContainer(listening: Endpoint(address: IPAddress(ipv4: 0x7f00_0001), port: 0))
        let game = try DemoMinecraftServer(listening: Endpoint(address: IPAddress(ipv4: 0x7f00_0001), port: 0))
        let port = Self.freePort(from: 8443)
        let gamePort = Self.freePort(from: 25565)
        let metricsPort = Self.freePort(from: 9180)
        try write("edge.yaml", edgeFile(certificates, port: port, gamePort: gamePort, metricsPort: metricsPort))
        try write("routes.yaml", routesFile(container.endpoint, game.endpoint))

        var options = RunOptions()
        options.sendsHSTS = false
        options.logDescriptor = unsafe open("\(folder)/edge.log", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        options.ready = { _ in
            // Not sooner: the servers' threads must inherit that signals are events, and a token older than the record
            // of used ones would be refused.
            do {
                try container.start()
                try game.start()
                let url = try launchURL(port: port, now: Clock.epochMs() / 1000)
                StandardOutput.write(announcement(url: url, ca: certificates.ca, gamePort: gamePort))
            } catch {
                StandardError.write("zlh-edge: \(error)\n")
            }
        }
        try Supervisor.run(
            configPath: "\(folder)/edge.yaml", environment: processEnvironment(), options: options)
        container.stop()
    }

    private func launchURL(port: UInt16, now: Int64) throws -> String {
        let keys = try KeySet(jwks: try read(LaunchKeys.keySetName))
        let signer = try LaunchSigner(privateKeyPEM: try read(LaunchKeys.privateKeyName), in: keys)
        let claims = LaunchClaims(
            issuer: "zlh-demo", subject: "demo", vmid: Self.vmid, tokenID: Random.id(), issuedAt: now,
            expires: now + 300)
        let token = try signer.sign(claims, audience: "zlh-edge")
        return "https://dev-\(Self.vmid).\(Self.domain):\(port)/.zlh/launch?token=\(token)&next=/"
    }

    private func announcement(url: String, ca: String, gamePort: UInt16) -> String {
        if json {
            return #"{"url": "\#(url)", "ca": "\#(ca)", "minecraft": "127.0.0.1:\#(gamePort)", "admin": null}"#
                + "\nready\n"
        }
        return """
            Open this in a browser (it works once, within five minutes; accept the development certificate):
              \(url)
            In Minecraft (Java), add this server and look at the list, or join:
              127.0.0.1:\(gamePort)
            For curl:        --cacert \(ca)
            Another launch:  \(CommandLine.arguments[0]) token issue --config \(folder)/edge.yaml --vmid \(Self.vmid) \
            --user demo --lifetime 5m --url
            Log:             \(folder)/edge.log
            ready

            """
    }

    private func edgeFile(
        _ certificates: (ca: String, certificate: String, key: String), port: UInt16, gamePort: UInt16,
        metricsPort: UInt16
    ) -> String {
        """
        # Written by `zlh-edge demo` at each start.
        domain: \(Self.domain)
        state: state
        routes: routes.yaml
        upstreams: ["127.0.0.0/8"]
        listen:
          https: ["127.0.0.1:\(port)"]
          minecraft: ["127.0.0.1:\(gamePort)"]
          metrics: "127.0.0.1:\(metricsPort)"
          admin: admin.sock
        tls:
          certificates: [{ certificate: "\(certificates.certificate)", key: "\(certificates.key)" }]
        ide:
          launch: { keys: \(LaunchKeys.keySetName), issuer: zlh-demo, audience: zlh-edge, lifetime_at_most: 5m, skew: 30s }

        """
    }

    private func routesFile(_ endpoint: Endpoint, _ game: Endpoint) -> String {
        """
        ide:
          \(Self.vmid): { address: \(endpoint.address), port: \(endpoint.port), generation: \(Self.generation) }
        minecraft:
          - { host: "*", kind: direct, backends: [{ address: "\(game)" }] }

        """
    }

    /// `port`, or the next one that nobody has.
    private static func freePort(from port: UInt16) -> UInt16 {
        let loopback = IPAddress(ipv4: 0x7f00_0001)
        return (port..<(port + 100)).first {
            Socket.whyTaken(high: loopback.high, low: loopback.low, port: $0) == nil
        } ?? port
    }

    private func read(_ name: String) throws -> [UInt8] { try FileContents.read("\(folder)/\(name)", atMost: 1 << 20) }

    private func write(_ name: String, _ text: String) throws {
        let path = "\(folder)/\(name)"
        let file = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard file >= 0 else { throw SystemError(errno) }
        defer { close(file) }
        let bytes = Array(text.utf8)
        guard unsafe Glibc.write(file, bytes, bytes.count) == bytes.count else { throw SystemError(errno) }
    }
}

/// Making a folder and those above it.
private enum Folder {
    static func make(_ path: String) {
        var built = ""
        for part in path.split(separator: "/", omittingEmptySubsequences: true) {
            built += "/\(part)"
            _ = unsafe mkdir(built, 0o700)
        }
    }
}
