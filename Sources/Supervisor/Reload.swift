import Config
import Gateway
import Identity
import Limits
import Observe
import Routing
import TLS
import Wire

/// What is read again.
struct ReloadParts: OptionSet, Sendable {
    let rawValue: Int
    static let config = ReloadParts(rawValue: 1)
    static let routes = ReloadParts(rawValue: 2)
    static let keys = ReloadParts(rawValue: 4)
    static let certificates = ReloadParts(rawValue: 8)
    static let everything: ReloadParts = [.config, .routes, .keys, .certificates]
}

/// Whether a reload runs, and what came meanwhile.
struct ReloadState {
    var isRunning = false
    var pending: ReloadParts = []
}

/// One reading of files, as values that a thread takes along.
struct ReloadJob: Sendable {
    let parts: ReloadParts
    let configPath: String
    let environment: [String: String]
    let config: EdgeConfig
    let routes: RouteTable
    let force: Bool

    /// Reads and checks. Off the loops.
    func run() -> ReloadResult {
        var result = ReloadResult(parts: parts)
        var config = self.config
        if parts.contains(.config) {
            do {
                config = try EdgeConfig.load(path: configPath, environment: environment)
                result.config = .success(config)
            } catch {
                result.config = .failure(error)
                return result
            }
        }
        if parts.contains(.keys) {
            do { result.keys = .success(try LoadedFiles.keys(config)) } catch { result.keys = .failure(error) }
        }
        if parts.contains(.certificates) {
            do {
                let certificates = try LoadedFiles.certificates(config, now: LoadedFiles.now())
                // Proves that OpenSSL takes them together, before any loop must.
                _ = try CertificateStore(
                    certificates, settings: LoadedFiles.tlsSettings(config), ticketKeys: TicketKeys())
                result.certificates = .success(certificates)
            } catch {
                result.certificates = .failure(error)
            }
        }
        if parts.contains(.routes) {
            do {
                let loaded = try RoutesFile.load(
                    path: config.routesPath, against: config, previous: routes, force: force,
                    generation: routes.generation + 1)
                result.lastGoodFailure = LoadedFiles.saveLastGood(loaded.table, config)
                result.routes = .success(loaded)
            } catch {
                result.routes = .failure(error)
                result.revokedAnyway = RoutesFile.revokedOnly(path: config.routesPath)
            }
        }
        return result
    }
}

/// What a reading gave; a part that was not asked for is `nil`.
struct ReloadResult: Sendable {
    let parts: ReloadParts
    var config: Result<EdgeConfig, ConfigProblems>?
    var routes: Result<LoadedRoutes, ConfigProblems>?
    /// Why the routes that were taken could not be kept in `state`.
    var lastGoodFailure: String?
    var revokedAnyway: [RevocationRule]?
    var keys: Result<KeySet, ConfigProblem>?
    var certificates: Result<[Certificate], CertificateProblem>?
}

extension Supervisor {
    /// Reads `parts` again, after the reload that may be running.
    func requestReload(_ parts: ReloadParts) {
        reload.pending.formUnion(parts)
        guard !reload.isRunning else { return }
        let wanted = reload.pending
        reload.pending = []
        reload.isRunning = true
        load(
            ReloadJob(
                parts: wanted, configPath: configPath, environment: environment, config: config, routes: routes,
                force: false))
    }

    /// Takes what was good, keeps what was in force where it was not, and says both.
    func finishReload(_ result: ReloadResult) {
        reload.isRunning = false
        switch result.config {
        case .failure(let problems):
            metrics.reload(.refused)
            refused("config", problems.problems.map { ($0.file, $0.line, $0.message) })
        case .success(let next): adopt(next)
        case nil: break
        }
        switch result.keys {
        case .success(let next):
            keys = next
            logEvent(.info, "keys_loaded") { $0.field("keys", next.keyIDs.count) }
            for warning in next.warnings { logEvent(.warning, "warning") { $0.field("message", text: warning) } }
        case .failure(let problem): refused("keys", [(problem.file, problem.line, problem.message)])
        case nil: break
        }
        switch result.certificates {
        case .success(let next): adopt(next)
        case .failure(let problem): refused("certificates", [(problem.file, 0, problem.message)])
        case nil: break
        }
        switch result.routes {
        case .success(let loaded):
            adopt(loaded)
            stateHealth.note(.lastGood, result.lastGoodFailure)
        case .failure(let problems):
            metrics.reload(.refused)
            if problems.removesTooMuch { metrics.refused(.admin, .reloadRemoves) }
            refused("routes", problems.problems.map { ($0.file, $0.line, $0.message) })
            if let rules = result.revokedAnyway { revokedByRefusedFile = rules }
        case nil: break
        }
        publish()
        if !reload.pending.isEmpty { requestReload([]) }
    }

    private func adopt(_ next: EdgeConfig) {
        for key in next.keysNeedingRestart(from: config) {
            logEvent(.warning, "needs_restart") {
                $0.field("key", text: key)
                $0.field("message", "changed in the file; takes effect with a restart")
            }
        }
        // What only a restart can change stays as it is, so that the rest is judged by what is in force.
        var next = next
        next.domain = config.domain
        next.statePath = config.statePath
        next.threads = config.threads
        next.listen = config.listen
        config = next
        log.level = next.logLevel
        memoryBudget = next.memoryBudget
        shared.sources.apply(next.sourceSettings)
        shared.setConnectionLimit(next.connectionLimit)
        shared.sessions.setLimits(next.sessionLimits)
        shared.keyRing.setAbsolute(next.ide.session.absolute)
        watchFiles()
        logEvent(.info, "config_loaded") { $0.field("file", text: configPath) }
    }

    private func adopt(_ next: [Certificate]) {
        certificates = next
        shared.broadcast(.certificates(next, LoadedFiles.tlsSettings(config), ticketKeys))
        logEvent(.info, "certificates_loaded") { $0.field("certificates", next.count) }
    }

    private func adopt(_ loaded: LoadedRoutes) {
        routes = loaded.table
        revokedByRefusedFile = []
        metrics.reload(.ok)
        let diff = loaded.diff
        logEvent(.info, "reload") {
            $0.field("ok", true)
            $0.field("generation", loaded.table.generation)
            $0.field("added", diff.added.count + diff.minecraftAdded.count)
            $0.field("changed", diff.changed.count + diff.minecraftChanged.count)
            $0.field("removed", diff.removed.count + diff.minecraftRemoved.count)
            $0.field("quarantined", loaded.table.conflicts)
            $0.field("diff", text: diff.description)
        }
        for warning in loaded.warnings {
            logEvent(.warning, "warning") { $0.field("message", text: warning.description) }
        }
    }

    /// One line a problem, with file and line for the operator.
    private func refused(_ what: StaticString, _ problems: [(file: String, line: Int, message: String)]) {
        for problem in problems.prefix(20) {
            logEvent(.error, "reload") {
                $0.field("ok", false)
                $0.field("what", what)
                $0.field("file", text: problem.file)
                if problem.line > 0 { $0.field("line", problem.line) }
                $0.field("message", text: problem.message)
            }
        }
    }
}
