import ArgumentParser
import Config
import Crypto
import Glibc
import Identity
import Wire

extension TokenCommand {
    /// `zlh-edge token issue`: what the API does when somebody opens an IDE.
    struct Issue: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "issue",
            abstract: "Issue a launch token; prints nothing but the token, or the launch URL.",
            discussion: """
                Signs with the private key whose public half is in the JWKS of the configuration.

                Example: zlh-edge token issue --config config/edge.yaml --vmid 1101 --user alice --url
                """)

        @Option(help: "The configuration file.")
        var config = "config/edge.yaml"

        @Option(help: "The container.")
        var vmid: UInt32

        @Option(help: "The user.")
        var user: String

        @Option(
            help: """
                The private key (PEM), or the kid of an HS256 key in the JWKS. Without it: \
                \(LaunchKeys.privateKeyName) beside the JWKS, or the JWKS's only HS256 key.
                """)
        var key: String?

        @Option(help: "The generation the route must have.")
        var gen: String?

        @Option(help: "How long the token is good, such as 60s or 5m.")
        var lifetime = "60s"

        @Flag(help: "Print the launch URL instead of the token.")
        var url = false

        @Option(help: "With --url: the path to open after the launch.")
        var next: String?

        func validate() throws {
            guard !user.isEmpty, gen != "" else { throw ValidationError("--user and --gen must not be empty") }
            guard lifetimeSeconds != nil else {
                throw ValidationError("--lifetime is a whole number of seconds, minutes or hours, such as 60s or 5m")
            }
            guard let next else { return }
            guard url else { throw ValidationError("--next goes with --url") }
            guard Self.isPath(next) else { throw ValidationError("--next is a path that starts with one /") }
        }

        func run() throws {
            let config = try load(config)
            let token = try token(config, keys(of: config), now: Int64(time(nil)))
            print(url ? launchURL(config, token) : token)
        }

        private func token(_ config: EdgeConfig, _ keys: KeySet, now: Int64) throws -> String {
            let launch = config.ide.launch
            guard config.ide.vmids.contains(vmid) else {
                let range = "\(config.ide.vmids.lowerBound)-\(config.ide.vmids.upperBound)"
                throw misuse("--vmid \(vmid) is outside ide.vmids, \(range)")
            }
            let seconds = lifetimeSeconds ?? 0
            guard seconds <= launch.lifetimeAtMost else {
                throw misuse("--lifetime is longer than ide.launch.lifetime_at_most, \(launch.lifetimeAtMost)s")
            }
            let claims = LaunchClaims(
                issuer: launch.issuer, subject: user, vmid: vmid, tokenID: Random.id(), issuedAt: now,
                expires: now + seconds, generation: gen)
            do {
                return try signer(launch.keysPath, keys).sign(claims, audience: launch.audience)
            } catch let error as LaunchKeyError {
                throw misuse("\(error)")
            }
        }

        private func signer(_ jwksPath: String, _ keys: KeySet) throws -> LaunchSigner {
            if let key, keys.algorithm(of: key) != nil, unsafe access(key, F_OK) != 0 {
                return try LaunchSigner(secretNamed: key, in: keys)
            }
            let folder = jwksPath.lastIndex(of: "/").map { jwksPath[...$0] } ?? ""
            let path = key ?? folder + LaunchKeys.privateKeyName
            let secrets = keys.keyIDs.filter { keys.algorithm(of: $0) == .hs256 }
            if key == nil, secrets.count == 1, unsafe access(path, F_OK) != 0 {
                return try LaunchSigner(secretNamed: secrets[0], in: keys)
            }
            if key == nil, unsafe access(path, F_OK) != 0 {
                throw misuse("there is no \(path); name the private key with --key")
            }
            let pem = try LaunchKeys.read(path)
            do {
                return try LaunchSigner(privateKeyPEM: pem, in: keys)
            } catch {
                throw misuse("\(path): \(error)")
            }
        }

        private func launchURL(_ config: EdgeConfig, _ token: String) -> String {
            let ports = config.listen.https.map(\.port)
            let port = ports.isEmpty || ports.contains(443) ? "" : ":\(ports[0])"
            let query = next.map { "&next=" + Self.percentEncoded($0) } ?? ""
            return "https://dev-\(vmid).\(config.domain)\(port)/.zlh/launch?token=\(token)\(query)"
        }

        private var lifetimeSeconds: Int64? {
            let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600]
            guard let unit = lifetime.last.flatMap({ units[$0] }), let count = Int64(lifetime.dropLast()),
                count > 0, count <= 1_000_000, lifetime.first != "+"
            else { return nil }
            return count * unit
        }

        /// What the gateway takes for `next`; anything else it would replace by `/`.
        private static func isPath(_ text: String) -> Bool {
            let bytes = Array(text.utf8)
            return bytes.first == 0x2f && (bytes.count == 1 || (bytes[1] != 0x2f && bytes[1] != 0x5c))
                && bytes.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
        }

        /// RFC 3986 section 2.3: all but the unreserved characters and `/` as `%XX`.
        private static func percentEncoded(_ text: String) -> String {
            let digits = Array("0123456789ABCDEF")
            return text.utf8.reduce(into: "") { out, byte in
                switch byte {
                case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x2f, 0x5f, 0x7e:
                    out.unicodeScalars.append(Unicode.Scalar(byte))
                default:
                    out += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
                }
            }
        }
    }
}
