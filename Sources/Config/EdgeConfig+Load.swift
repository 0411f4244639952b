import CYAML
import Glibc
import Wire

extension EdgeConfig {
    /// Reads and validates `edge.yaml`; relative paths in it are relative to it. Blocks on the disk: not for an event
    /// loop's thread. Throws every problem found.
    public static func load(path: String, environment: [String: String]) throws(ConfigProblems) -> EdgeConfig {
        let inspected = try inspect(path: path, environment: environment)
        guard inspected.problems.isEmpty else {
            throw ConfigProblems(problems: inspected.problems, warnings: inspected.config.warnings)
        }
        return inspected.config
    }

    /// What `check` needs: everything wrong with the file, and yet the values of what is right in it. Throws only when
    /// the file cannot be parsed.
    public static func inspect(path: String, environment: [String: String]) throws(ConfigProblems) -> Inspected {
        try inspect(try SourceFile.read(path), environment: environment)
    }

    static func inspect(_ source: SourceFile, environment: [String: String]) throws(ConfigProblems) -> Inspected {
        let problems = ProblemList(file: source.path)
        var document = try source.document()
        document.expandEnvironment(environment, problems: problems)
        let reading = Reading(document: document, problems: problems)
        var config = EdgeConfig()
        var file = Section(YAMLDocument.root, path: "", reading: reading)
        let judgesRoutes = config.read(&file, folder: FilePath.folder(of: source.path))
        file.finish()
        let found = problems.inFileOrder
        config.warnings = found.warnings
        return Inspected(config: config, problems: found.problems, judgesRoutes: judgesRoutes)
    }

    /// A file with whatever is wrong with it.
    public struct Inspected: Sendable {
        /// The values, with the default wherever one was refused; its `warnings` are set.
        public let config: EdgeConfig
        /// Why the file is refused; empty when it is not.
        public let problems: [ConfigProblem]
        /// Whether what the routes are judged by is valid, so that problems in them are real ones.
        public let judgesRoutes: Bool
    }

    /// True when all that routes are judged by was valid.
    private mutating func read(_ file: inout Section, folder: String) -> Bool {
        file.list("upstreams", &upstreams, "a block such as 10.0.0.0/8 or \"fc00::/7\"") { CIDR($0) }
        if upstreams.isEmpty, file.reading.problems.isEmpty, let node = file.node("upstreams") {
            file.reading.warning(node, "\"upstreams\" is empty: nothing may be dialled")
        }
        readListen(&file, folder)
        readIDE(&file, folder)
        file.path("routes", &routesPath, default: "routes.yaml", in: folder)
        let judgesRoutes = file.reading.problems.isEmpty
        file.parsed("domain", &domain, "a domain name such as example.com", Self.domain)
        file.path("state", &statePath, default: statePath, in: folder)
        readThreads(&file)
        readTLS(&file, folder)
        readMinecraft(&file)
        file.list("trusted_proxies", &trustedProxies, "a block such as 10.0.0.0/8") { CIDR($0) }
        var section = file.section("limits")
        limits.read(&section)
        section = file.section("log")
        section.word("level", &log.level)
        section.flag("access", &log.access)
        section.finish()
        return judgesRoutes
    }

    private mutating func readThreads(_ file: inout Section) {
        var count = 0
        file.parsed("threads", &count, "auto, or a number from 1 to 256") {
            $0 == "auto" ? 0 : Quantity.integer($0).flatMap { (0...256).contains($0) ? $0 : nil }
        }
        threads = count > 0 ? count : Self.availableCPUs()
    }

    private mutating func readListen(_ file: inout Section, _ folder: String) {
        let reading = file.reading
        var section = file.section("listen")
        let expected = "an address and port such as \"0.0.0.0:443\" or \"[::]:443\""
        section.list("https", &listen.https, expected) { Endpoint($0) }
        section.list("http", &listen.http, expected) { Endpoint($0) }
        section.list("minecraft", &listen.minecraft, expected) { Endpoint($0) }
        section.parsed("metrics", &listen.metrics, "\(expected), or \"\" for none") {
            $0.isEmpty ? .some(nil) : Endpoint($0).map { $0 }
        }
        section.path("admin", &listen.admin, default: listen.admin, in: folder)
        if listen.admin.utf8.count > 107, let node = section.node("admin") {
            reading.error(node, "\"listen.admin\": the path of a socket has at most 107 bytes; shorten it")
        }
        if let node = section.node("https"), reading.problems.isEmpty, listen.https.isEmpty, listen.minecraft.isEmpty {
            reading.warning(node, "nothing listens: \"listen.https\" and \"listen.minecraft\" are empty")
        }
        reportSharedListeners(section)
        section.finish()
    }

    /// Two listeners cannot have one address and port; port 0 is a new one each time.
    private func reportSharedListeners(_ section: Section) {
        var section = section
        var owners: [Endpoint: String] = [:]
        let all = [("https", listen.https), ("http", listen.http), ("minecraft", listen.minecraft)]
        for (key, endpoints) in all + [("metrics", listen.metrics.map { [$0] } ?? [])] {
            for endpoint in endpoints where endpoint.port != 0 {
                guard let owner = owners.updateValue(key, forKey: endpoint) else { continue }
                let node = section.node(key) ?? section.node(owner) ?? YAMLDocument.root
                section.reading.error(node, "\"listen.\(key)\": \(endpoint) is taken by \"listen.\(owner)\"")
            }
        }
    }

    private mutating func readTLS(_ file: inout Section, _ folder: String) {
        var section = file.section("tls")
        tls.certificates = [
            CertificateFiles(
                certificate: FilePath.resolve("../certs/wildcard.crt", in: folder),
                key: FilePath.resolve("../certs/wildcard.key", in: folder))
        ]
        if let node = section.node("certificates") {
            tls.certificates = section.reading.list(node, "tls.certificates").map { element in
                var pair = Section(element, path: "tls.certificates", reading: section.reading)
                var files = CertificateFiles(certificate: "", key: "")
                pair.path("certificate", &files.certificate, in: folder)
                pair.path("key", &files.key, in: folder)
                pair.require(["certificate", "key"], of: element)
                pair.finish()
                return files
            }
            if tls.certificates.isEmpty, section.reading.document.kind(node) != .mapping, !listen.https.isEmpty {
                section.reading.error(node, "\"tls.certificates\" is empty; name at least one certificate and key")
            }
        }
        section.parsed("minimum", &tls.minimum, "\"1.2\" or \"1.3\"") { ["1.2", "1.3"].contains($0) ? $0 : nil }
        section.finish()
    }

    private mutating func readIDE(_ file: inout Section, _ folder: String) {
        var section = file.section("ide")
        section.parsed("vmids", &ide.vmids, "a range such as \"1-999999999\"", Self.vmidRange)
        section.parsed("login_url", &ide.loginURL, Self.loginURLExpected) { Self.isLoginURL($0) ? $0 : nil }
        section.flag("compression", &ide.compression)
        var launch = section.section("launch")
        launch.path("keys", &ide.launch.keysPath, default: "keys.jwks.json", in: folder)
        launch.parsed("issuer", &ide.launch.issuer, "a text") { $0.isEmpty ? nil : $0 }
        launch.parsed("audience", &ide.launch.audience, "a text") { $0.isEmpty ? nil : $0 }
        launch.seconds("lifetime_at_most", &ide.launch.lifetimeAtMost, 1...86_400)
        launch.seconds("skew", &ide.launch.skew, 0...600)
        launch.finish()
        var session = section.section("session")
        session.seconds("absolute", &ide.session.absolute, 1...366 * 86_400)
        session.seconds("idle", &ide.session.idle, 1...366 * 86_400)
        session.finish()
        if ide.session.idle > ide.session.absolute, let node = session.node("idle") {
            section.reading.warning(node, "\"ide.session.idle\" is longer than \"absolute\" and has no effect")
        }
        if ide.loginURL.hasPrefix("http://"), let node = section.node("login_url") {
            section.reading.warning(node, "\"ide.login_url\" is not https: anyone on the way can replace the page")
        }
        section.finish()
    }

    private mutating func readMinecraft(_ file: inout Section) {
        var section = file.section("minecraft")
        var health = section.section("health")
        health.milliseconds("interval", &minecraft.health.intervalMs, 100...Section.longestMs)
        health.milliseconds("timeout", &minecraft.health.timeoutMs, 10...Section.longestMs)
        health.integer("fall", &minecraft.health.fall, 1...100)
        health.integer("rise", &minecraft.health.rise, 1...100)
        health.milliseconds("slow_start", &minecraft.health.slowStartMs, 0...Section.longestMs)
        health.finish()
        section.flag("log_player_names", &minecraft.logPlayerNames)
        var messages = section.section("messages")
        messages.chatText("unknown_host", &minecraft.messages.unknownHost)
        messages.chatText("offline", &minecraft.messages.offline)
        messages.chatText("full", &minecraft.messages.full)
        messages.chatText("draining", &minecraft.messages.draining)
        messages.chatText("limited", &minecraft.messages.limited)
        messages.finish()
        section.finish()
    }
}

extension EdgeConfig {
    /// A lower-case DNS name short enough to have `dev-<vmid>.` before it, without its trailing dot.
    static func domain(_ text: String) -> String? {
        var name = text.lowercased()
        if name.hasSuffix(".") { name.removeLast() }
        guard name.utf8.count <= 253 - "dev-999999999.".utf8.count, IPAddress(name) == nil else { return nil }
        let labels = name.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
                && label.allSatisfy { $0.isDigit || (0x61...0x7a).contains($0) || $0 == UInt8(ascii: "-") }
        }
        return isName ? name : nil
    }

    static func vmidRange(_ text: String) -> ClosedRange<UInt32>? {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { RoutesFile.vmid($0) }
        guard let first = ends.first, let low = first, let last = ends.last, let high = last else { return nil }
        return ends.count <= 2 && low <= high ? low...high : nil
    }

    private static var loginURLExpected: String {
        "an https:// URL; it may hold {vmid}, {next} and {reason}, and no other braces, spaces or controls"
    }

    private static func isLoginURL(_ text: String) -> Bool {
        if text.isEmpty { return true }
        var rest = text
        for placeholder in ["{vmid}", "{next}", "{reason}"] {
            rest = rest.split(separator: placeholder, omittingEmptySubsequences: false).joined(separator: "x")
        }
        let isVisible = rest.utf8.allSatisfy { (0x21...0x7e).contains($0) && !"\"<>\\^`{|}".utf8.contains($0) }
        guard isVisible, let scheme = ["https://", "http://"].first(where: rest.hasPrefix) else { return false }
        return rest.utf8.count > scheme.utf8.count
    }

    /// The CPUs this process may run on.
    private static func availableCPUs() -> Int {
        max(1, min(256, Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))))
    }
}
