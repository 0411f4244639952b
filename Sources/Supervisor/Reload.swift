import Config
import Gateway
import Identity
import Limits
import Observe
import Reactor
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

/// Whether a reload runs, what came meanwhile, and what is to be tried again.
struct ReloadState {
    /// The first time that what the system's trouble prevented is tried again; then twice as long each time.
    static let shortestWaitMs: UInt64 = 1000
    static let longestWaitMs: UInt64 = 60_000
    /// A reload that reads for so long waits for a file system that does not answer.
    static let longMs: UInt64 = 10_000

    /// When the one that runs began.
    var startedMs: UInt64?
    var isLate = false
    var pending: ReloadParts = []
    var againMs = UInt64.max
    var waitMs = shortestWaitMs
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
        var result = ReloadResult()
        var config = self.config
        if parts.contains(.config) {
            do {
                let next = try EdgeConfig.load(path: configPath, environment: environment)
                config = next.inForce(after: config)
                result.config = .success(next)
            } catch {
                result.config = .failure(error)
                return result
            }
        }
        result.files = config.fileStates()
        if parts.contains(.routes) { loadRoutes(config, &result) }
        if let problems = problemsOfRoutes(config, result) {
            result.config = .failure(problems)
            result.routes = nil
            return result
        }
        if parts.contains(.keys) {
            do { result.keys = .success(try LoadedFiles.keys(config)) } catch { result.keys = .failure(error) }
        }
        if parts.contains(.certificates) {
            do {
                result.certificates = .success(try LoadedFiles.certificates(config))
            } catch {
                result.certificates = .failure(error)
            }
        }
        return result
    }

    private func loadRoutes(_ config: EdgeConfig, _ result: inout ReloadResult) {
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

    /// Why a new configuration cannot come into force: the routes that would stay are what it forbids, and would go on
    /// being dialled. The routes file says so with its lines, unless it is refused for something else.
    private func problemsOfRoutes(_ config: EdgeConfig, _ result: ReloadResult) -> ConfigProblems? {
        guard result.config != nil else { return nil }
        var ofFile: [ConfigProblem] = []
        switch result.routes {
        case .success: return nil
        case .failure(let problems): ofFile = problems.problems
        case nil: break
        }
        guard let refusal = config.refusal(of: routes, path: configPath) else { return nil }
        return ConfigProblems(problems: ofFile + [refusal])
    }
}

/// What a reading gave; a part that was not asked for is `nil`.
struct ReloadResult: Sendable {
    /// What the configuration names, as it was before it was read.
    var files: [String: FileState] = [:]
    var config: Result<EdgeConfig, ConfigProblems>?
    var routes: Result<LoadedRoutes, ConfigProblems>?
    /// Why the routes that were taken could not be kept in `state`.
    var lastGoodFailure: String?
    var revokedAnyway: [RevocationRule]?
    var keys: Result<KeySet, ConfigProblem>?
    var certificates: Result<[Certificate], CertificateProblems>?

    /// What failed for the system's trouble.
    var toTryAgain: ReloadParts {
        var parts: ReloadParts = []
        if case .failure(let found) = config, found.problems.contains(where: \.mayPass) { parts = .everything }
        if case .failure(let found) = routes, found.problems.contains(where: \.mayPass) { parts.insert(.routes) }
        if case .failure(let problem) = keys, problem.mayPass { parts.insert(.keys) }
        if case .failure(let found) = certificates, found.problems.contains(where: \.mayPass) {
            parts.insert(.certificates)
        }
        return parts
    }
}

extension Supervisor {
    /// Reads `parts` again, after the reload that may be running.
    func requestReload(_ parts: ReloadParts) {
        reload.pending.formUnion(parts)
        guard reload.startedMs == nil else { return }
        let job = ReloadJob(
            parts: reload.pending, configPath: configPath, environment: environment, config: config, routes: routes,
            force: false)
        reload.pending = []
        reload.againMs = .max
        do {
            try load(job)
            reload.startedMs = loop.nowMs
        } catch {
            metrics.reload(.refused)
            refused("reload", [(configPath, 0, "no thread can be started to read the files: \(error)")])
            tryAgain(job.parts)
        }
    }

    /// Reads `parts` once more in a while, and later each time that this fails.
    private func tryAgain(_ parts: ReloadParts) {
        reload.pending.formUnion(parts)
        reload.againMs = loop.nowMs + reload.waitMs
        reload.waitMs = min(reload.waitMs * 2, ReloadState.longestWaitMs)
    }

    /// Begins what is due to be tried again, and says so when a reload gets stuck. Every second.
    func checkReload() {
        if loop.nowMs >= reload.againMs { requestReload([]) }
        guard let startedMs = reload.startedMs, !reload.isLate, loop.nowMs - startedMs >= ReloadState.longMs else {
            return
        }
        reload.isLate = true
        logEvent(.error, "reload_stuck") {
            $0.field("message", "files have been read for 10 s: a file system does not answer; what is in force stays")
        }
    }

    /// Takes what was good, keeps what was in force where it was not, and says both.
    func finishReload(_ result: ReloadResult) {
        reload.startedMs = nil
        reload.isLate = false
        switch result.config {
        case .failure(let problems):
            metrics.reload(.refused)
            refused("config", problems.problems.map { ($0.file, $0.line, $0.message) })
        case .success(let next): adopt(next, files: result.files)
        case nil: break
        }
        switch result.keys {
        case .success(let next):
            keys = next
            logEvent(.info, "keys_loaded") { $0.field("keys", next.keyIDs.count) }
            for warning in next.warnings { logEvent(.warning, "warning") { $0.field("message", text: warning) } }
        case .failure(let problem):
            metrics.reload(.refused)
            refused("keys", [(problem.file, problem.line, problem.message)])
        case nil: break
        }
        switch result.certificates {
        case .success(let next) where next.isEmpty && !config.listen.https.isEmpty:
            metrics.reload(.refused)
            refused("certificates", [(configPath, 0, "names no certificate while HTTPS listens; those in force stay")])
        case .success(let next): adopt(next)
        case .failure(let found):
            metrics.reload(.refused)
            refused("certificates", found.problems.map { ($0.file, 0, $0.message) })
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
        case nil: break
        }
        if let rules = result.revokedAnyway { revokedByRefusedFile = rules }
        publish()
        let failed = result.toTryAgain
        let next = reload.pending
        if failed.isEmpty { reload.waitMs = ReloadState.shortestWaitMs } else { tryAgain(failed) }
        if !next.isEmpty { requestReload([]) }
    }

    private func adopt(_ next: EdgeConfig, files: [String: FileState]) {
        for key in next.keysNeedingRestart(from: config) {
            logEvent(.warning, "needs_restart") {
                $0.field("key", text: key)
                $0.field("message", "changed in the file; takes effect with a restart")
            }
        }
        let next = next.inForce(after: config)
        config = next
        log.level = next.logLevel
        memoryBudget = next.memoryBudget
        shared.sources.apply(next.sourceSettings)
        shared.setConnectionLimit(next.connectionLimit)
        warnOfDescriptors()
        shared.sessions.setLimits(next.sessionLimits)
        shared.keyRing.setAbsolute(next.ide.session.absolute)
        watch?.watch(files)
        logEvent(.info, "config_loaded") { $0.field("file", text: configPath) }
    }

    private func adopt(_ next: [Certificate]) {
        certificates = next
        warnOfCertificates()
        for certificate in next {
            for warning in certificate.warnings {
                logEvent(.warning, "warning") { $0.field("message", text: "\(certificate.path): \(warning)") }
            }
        }
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
