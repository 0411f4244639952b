public import Config
import Gateway
import Identity
import Reactor
import Routing
import TLS

/// Reads the files beside the configuration. Blocks on the disk and computes: never on an event loop.
enum LoadedFiles {
    /// Every certificate of the configuration, or the first that cannot be used.
    static func certificates(_ config: EdgeConfig, now: Int64) throws(CertificateProblem) -> [Certificate] {
        var loaded: [Certificate] = []
        for files in config.tls.certificates {
            loaded.append(
                try Certificate(certificatePath: files.certificate, keyPath: files.key, now: now))
        }
        return loaded
    }

    static func tlsSettings(_ config: EdgeConfig) -> TLSSettings {
        TLSSettings(requiresTLS13: config.tls.minimum == "1.3", protocols: [.http2, .http1])
    }

    /// The launch keys of the configuration.
    static func keys(_ config: EdgeConfig) throws(ConfigProblem) -> KeySet {
        let path = config.ide.launch.keysPath
        let bytes: [UInt8]
        do {
            bytes = try FileContents.read(path, atMost: 1 << 20)
        } catch {
            throw ConfigProblem(file: path, line: 1, message: "\(error.reason): put the launch keys (JWKS) there")
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
        for files in config.tls.certificates {
            do {
                let now = LoadedFiles.now()
                let certificate = try Certificate(
                    certificatePath: files.certificate, keyPath: files.key, now: now)
                let days = (certificate.notAfter - now) / 86_400
                if days < 14 {
                    found.append(
                        ConfigProblem(
                            file: files.certificate, line: 1, message: "expires in \(days) days", isWarning: true))
                }
            } catch {
                found.append(ConfigProblem(file: error.file, line: 1, message: error.message))
            }
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
