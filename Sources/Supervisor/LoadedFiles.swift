public import Config
import Gateway
import Identity
import Reactor
import Routing
import TLS

/// Reads the files beside the configuration. Blocks on the disk and computes: never on an event loop.
enum LoadedFiles {
    /// Every certificate of the configuration, or what keeps some of them from being served. The one judge of them: what
    /// `check` accepts, the start and a reload accept too.
    static func certificates(_ config: EdgeConfig) throws(CertificateProblems) -> [Certificate] {
        var loaded: [Certificate] = []
        var problems: [CertificateProblem] = []
        for files in config.tls.certificates {
            do {
                let certificate = try Certificate(certificatePath: files.certificate, keyPath: files.key)
                try CertificateStore.prove(certificate, tlsSettings(config))
                loaded.append(certificate)
            } catch {
                problems.append(error)
            }
        }
        guard problems.isEmpty else { throw CertificateProblems(problems: problems) }
        return loaded
    }

    static func tlsSettings(_ config: EdgeConfig) -> TLSSettings {
        TLSSettings(requiresTLS13: config.tls.minimum == "1.3")
    }

    /// The launch keys of the configuration.
    static func keys(_ config: EdgeConfig) throws(ConfigProblem) -> KeySet {
        let path = config.ide.launch.keysPath
        let bytes: [UInt8]
        do {
            bytes = try FileContents.read(path, atMost: 1 << 20)
        } catch {
            throw error.problem(": put the launch keys (JWKS) there")
        }
        do {
            return try KeySet(jwks: bytes)
        } catch {
            throw ConfigProblem(file: path, line: 1, message: error.description)
        }
    }

    /// Keeps the routes for a start with a broken file; why that failed.
    static func saveLastGood(_ routes: RouteTable, _ config: EdgeConfig) -> String? {
        do {
            try LastGood.save(routes, state: config.statePath)
            return nil
        } catch {
            return "\(config.statePath)/\(LastGood.fileName): \(error.reason)"
        }
    }

    static func now() -> Int64 { Clock.epochMs() / 1000 }

    static func moment() -> Moment { Moment(epoch: now(), steady: Int64(Clock.monotonicMs() / 1000)) }
}

/// What `check` says of the files that the configuration names.
public enum ConfigFiles {
    /// Problems and warnings of certificates and launch keys.
    public static func problems(of config: EdgeConfig) -> [ConfigProblem] {
        var found: [ConfigProblem] = []
        do {
            let now = LoadedFiles.now()
            for certificate in try LoadedFiles.certificates(config) {
                let concern = certificate.concern(now: now).map { [$0.message] } ?? []
                for message in certificate.warnings + concern {
                    found.append(ConfigProblem(file: certificate.path, line: 1, message: message, isWarning: true))
                }
            }
        } catch {
            found += error.problems.map { ConfigProblem(file: $0.file, line: 1, message: $0.message) }
        }
        do {
            let keys = try LoadedFiles.keys(config)
            for warning in keys.warnings {
                // A gateway may run without keys, when all were withdrawn; nobody means to deploy it so.
                found.append(
                    ConfigProblem(
                        file: config.ide.launch.keysPath, line: 1, message: warning, isWarning: !keys.keyIDs.isEmpty))
            }
        } catch {
            found.append(error)
        }
        return found
    }
}

/// Everything that keeps certificates from being served.
struct CertificateProblems: Error, CustomStringConvertible {
    let problems: [CertificateProblem]

    var description: String { problems.map(\.description).joined(separator: "\n") }
}
