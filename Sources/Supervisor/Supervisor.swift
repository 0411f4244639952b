import CLinux
import Config
import Gateway
import Glibc
import Identity
import Limits
import LocalServer
import MinecraftProxy
import Observe
import Reactor
import Routing
import TLS
import Wire

/// What `run` is told beside the configuration.
public struct RunOptions: Sendable {
    /// Whether answers carry HSTS; a demo on `localhost` must not.
    public var sendsHSTS = true
    /// Where the log goes; standard output.
    public var logDescriptor: Int32 = 1
    /// Called once when everything listens, with the ports in the order of `listen.https`.
    public var ready: (@Sendable (_ httpsPorts: [UInt16]) -> Void)?

    /// The options of production.
    public init() {}
}

/// The process: starts the loops, watches the files, answers signals, and hands new versions to the loops.
///
/// Lives on the main thread, with an event loop of its own that carries no traffic. What takes long (reading and
/// checking files) happens on a thread beside it, one reload at a time.
public final class Supervisor {
    let loop: EventLoop
    let log: LogSink
    let metrics: Metrics
    let shared: GatewayShared
    let minecraft: MinecraftShared
    let configPath: String
    let environment: [String: String]
    let options: RunOptions
    var config: EdgeConfig
    var routes: RouteTable
    var keys: KeySet
    var certificates: [Certificate]
    var ticketKeys = TicketKeys()
    let revocationStore: RevocationStore
    /// What of `state` cannot be written.
    var stateHealth = StateHealth()
    /// What a refused routes file revokes all the same, until a file is taken.
    var revokedByRefusedFile: [RevocationRule] = []
    var reload = ReloadState()
    private let mailbox: Mailbox<SupervisorMessage>
    private let signals: SignalSource
    private let inherited: InheritedSockets
    var watch: FileWatch?
    var reminders = CertificateReminders()
    /// Whether it was said that nobody sees the files.
    var isBlind = false
    private var adminServer: LocalServer?
    private var runningWorkers = 0
    /// Why an event loop ended that should not have.
    private var failure: String?
    private var isDraining = false
    /// When a drain is cut short, and when all that is left ends with the process.
    private var drainEndsMs = UInt64.max
    private var exitMs = UInt64.max
    private var ticksUntilRotation = Supervisor.ticketRotationTicks

    /// How often memory is looked at and the rest is swept: milliseconds.
    private static let tickMs: UInt64 = 250
    /// What the last tunnel of a drain has for its close frame and the client for ours: a second each.
    private static let farewellMs = 2000
    /// What the loops have to end when they are told to.
    private static let stopMs: UInt64 = 500
    /// Session tickets get a new key every hour.
    private static let ticketRotationTicks = 3600 * 4

    /// Loads everything and serves until a signal ends it. To be called before any thread starts: all of them must inherit
    /// that signals are events.
    public static func run(configPath: String, environment: [String: String], options: RunOptions) throws {
        do {
            let inherited = InheritedSockets(environment)
            SystemMemory.raiseDescriptorLimit()
            let signals = try SignalSource.take()
            let supervisor = try Supervisor(
                configPath: configPath, environment: environment, options: options, signals: signals,
                inherited: inherited)
            try supervisor.serve()
        } catch let error as SystemError {
            throw StartFailure("the system refuses what every start needs: \(error)")
        }
    }

    private init(
        configPath: String, environment: [String: String], options: RunOptions, signals: SignalSource,
        inherited: InheritedSockets
    ) throws {
        self.inherited = inherited
        self.configPath = configPath
        self.environment = environment
        self.options = options
        self.signals = signals
        do {
            config = try EdgeConfig.load(path: configPath, environment: environment)
        } catch {
            throw StartFailure(error.description)
        }
        // Before anything is read, so that no change goes unseen.
        let files = config.fileStates()
        let now = LoadedFiles.moment()
        var warnings = config.warnings.map(\.description)
        warnings += try StateDirectory.prepare(config.statePath)
        let (table, notes) = try Self.startingRoutes(config, &stateHealth)
        routes = table
        warnings += notes
        do {
            keys = try LoadedFiles.keys(config)
            certificates = try LoadedFiles.certificates(config)
        } catch {
            throw StartFailure("\(error)")
        }
        warnings += keys.warnings
        log = LogSink(descriptor: options.logDescriptor, level: config.logLevel)
        metrics = Metrics(loops: config.threads, log: log)
        revocationStore = try RevocationStore.open(directory: config.statePath, now: now)
        shared = GatewayShared(
            sources: SourceTable(config.sourceSettings),
            sessions: try SessionRegistry.open(directory: config.statePath, limits: config.sessionLimits, now: now),
            spent: try SpentTokens.open(directory: config.statePath, now: now, startedAt: now.epoch),
            keyRing: try KeyRing.load(
                directory: config.statePath, now: now.epoch, absolute: config.ide.session.absolute),
            metrics: metrics, log: log, connectionLimit: config.connectionLimit)
        minecraft = MinecraftShared(sources: shared.sources, metrics: metrics, log: log, places: shared)
        loop = try EventLoop()
        mailbox = try Mailbox()
        _ = try makeSnapshot()
        warnings += inherited.warnings
        warnings += certificates.flatMap { certificate in certificate.warnings.map { "\(certificate.path): \($0)" } }
        for warning in warnings { logEvent(.warning, "warning") { $0.field("message", text: warning) } }
        warnOfDamagedState()
        warnOfCertificates()
        warnOfDescriptors()
        do {
            watch = try FileWatch(files) { [mailbox] in mailbox.post(.files($0)) }
        } catch {
            throw StartFailure("no thread can be started to watch the files: \(error)")
        }
        if geteuid() == 0 {
            logEvent(.warning, "warning") {
                $0.field("message", "running as root: use a user of its own with CAP_NET_BIND_SERVICE")
            }
        }
    }

    /// The routes file, or the last good snapshot when it is broken.
    private static func startingRoutes(_ config: EdgeConfig, _ health: inout StateHealth) throws -> (
        RouteTable, [String]
    ) {
        do {
            let loaded = try RoutesFile.load(
                path: config.routesPath, against: config, previous: nil, force: true, generation: 1)
            health.note(.lastGood, LoadedFiles.saveLastGood(loaded.table, config))
            return (loaded.table, loaded.warnings.map(\.description))
        } catch {
            guard let table = LastGood.load(state: config.statePath, against: config) else {
                throw StartFailure(error.description)
            }
            let note =
                "THE ROUTES FILE IS BROKEN; serving the last good snapshot from \(config.statePath)/\(LastGood.fileName)"
            return (table, [note] + error.problems.map(\.description))
        }
    }

    // MARK: Serving

    private func serve() throws {
        let sockets = try listen()
        try startAdminServer()
        for problem in inherited.close() { logEvent(.warning, "warning") { $0.field("message", text: problem) } }
        try signals.deliver(on: loop) { [unowned self] in self.received($0) }
        try mailbox.deliver(on: loop) { [unowned self] in self.receive($0) }
        loop.tick(everyMs: Self.tickMs) { [unowned self] in self.tick() }
        let ports = sockets.httpsPorts
        try startWorkers(sockets)
        publish()
        noteStateHealth()
        let nghttp2 = NGHTTP2Fixes.ofThisProcess()
        if let warning = nghttp2.warning { logEvent(.warning, "warning") { $0.field("message", text: warning) } }
        logEvent(.info, "start") { [self] line in
            line.field("version", text: Version.text)
            line.field("openssl", text: Version.openSSL)
            line.field("nghttp2", text: nghttp2.version)
            line.field("threads", config.threads)
            line.field("routes", routes.ideCount)
            line.field("generation", routes.generation)
            line.field("https", text: sockets.addresses(.https))
            line.field("minecraft", text: sockets.addresses(.minecraft))
        }
        options.ready?(ports)
        try loop.run()
        shared.sessions.shareActivity(all: true, now: LoadedFiles.moment())
        adminServer?.stop()
        _ = log.flushAndStop()
        if let failure { throw LoopFailure(description: "an event loop failed: \(failure)") }
    }

    private func listen() throws -> ListenerSockets {
        let sockets = ListenerSockets(loops: config.threads)
        let fronts = [
            (config.listen.https, Front.https), (config.listen.http, .http), (config.listen.minecraft, .minecraft),
        ]
        for (endpoints, front) in fronts {
            for endpoint in endpoints {
                if let problem = try sockets.add(endpoint, front: front, from: inherited) {
                    logEvent(.warning, "warning") { $0.field("message", text: problem) }
                }
            }
        }
        return sockets
    }

    private func startWorkers(_ sockets: ListenerSockets) throws {
        let snapshot = try makeSnapshot()
        let players = makeMinecraftSnapshot()
        let tls = LoadedFiles.tlsSettings(config)
        for index in 0..<config.threads {
            try startThread("loop-\(index)") { [shared, minecraft, mailbox, certificates, ticketKeys] in
                do {
                    let worker = try Worker(
                        index: index, shared: shared, snapshot: snapshot, certificates: certificates, tls: tls,
                        ticketKeys: ticketKeys)
                    let guest = try MinecraftWorker(
                        index: index, loop: worker.loop, shared: minecraft, snapshot: players
                    ) { [unowned worker] in worker.stopIfDrained() }
                    worker.guest = guest
                    try sockets.give(loop: index, to: worker, guest)
                    mailbox.post(.workerStarted)
                    try worker.run()
                    mailbox.post(.workerEnded(nil))
                } catch {
                    mailbox.post(.workerEnded("\(error)"))
                }
            }
        }
        runningWorkers = config.threads
        // Nobody is told that all is ready before it is, and nothing new is handed to some loops while others begin.
        var early: [SupervisorMessage] = []
        var started = 0
        while started < config.threads {
            for message in mailbox.wait(atMostMs: 1000) {
                switch message {
                case .workerStarted: started += 1
                case .workerEnded(let reason): throw StartFailure("an event loop could not start: \(reason ?? "")")
                default: early.append(message)
                }
            }
        }
        for message in early { receive(message) }
    }

    /// Without its threads there is no start.
    private func startThread(_ name: String, _ body: @escaping @Sendable () -> Void) throws(StartFailure) {
        do {
            try Thread.start(name, body)
        } catch {
            throw StartFailure(
                "the thread \"\(name)\" cannot be started: \(error); raise the limit of threads (TasksMax)")
        }
    }

    private func startAdminServer() throws {
        guard let endpoint = config.listen.metrics else { return }
        var limits = LocalLimits()
        limits.requiresHost = false
        do {
            let server = try LocalServer(
                listening: inherited.take(endpoint).map { .inherited($0) } ?? .tcp(endpoint), limits: limits,
                handler: HealthPages(metrics: metrics, shared: shared))
            try server.start()
            adminServer = server
        } catch LocalError.system(let reason) {
            guard !ListenerSockets.lacksIPv6(endpoint, reason) else {
                let problem = "listen.metrics: \(ListenerSockets.withoutIPv6(endpoint))"
                return logEvent(.warning, "warning") { $0.field("message", text: problem) }
            }
            throw StartFailure("listen.metrics: cannot listen on \(endpoint): \(reason)")
        }
    }

    // MARK: What happens

    private func receive(_ message: SupervisorMessage) {
        switch message {
        case .loaded(let loaded): finishReload(loaded)
        case .files(.changed(let paths)): filesChanged(paths)
        case .files(.slower(let problem)):
            logEvent(.warning, "warning") { $0.field("message", text: problem) }
        case .workerStarted: break
        case .workerEnded(let reason):
            runningWorkers -= 1
            if let reason {
                logEvent(.error, "loop_failed") { $0.field("message", text: reason) }
                failure = reason
                stopWorkers()
            }
            if runningWorkers == 0 { loop.stop() }
        }
    }

    private func received(_ signal: Int32) {
        if signal == SIGHUP {
            requestReload(.everything)
            return
        }
        guard !isDraining else {
            logEvent(.warning, "stop") { $0.field("message", "second signal") }
            stopWorkers()
            return
        }
        isDraining = true
        let drainMs = max(0, config.limits.drainMs)
        drainEndsMs = loop.nowMs &+ UInt64(drainMs)
        metrics.setDraining(true)
        logEvent(.info, "drain") { $0.field("ms", drainMs) }
        // The last tunnel's farewell, too, ends within the time.
        let overMs = drainMs - min(Self.farewellMs, drainMs / 2)
        minecraft.broadcast(.drain(overMs: overMs))
        shared.broadcast(.drain(overMs: overMs))
    }

    /// Ends every loop now, and the process soon even when one does not.
    private func stopWorkers() {
        drainEndsMs = .max
        exitMs = min(exitMs, loop.nowMs &+ Self.stopMs)
        shared.broadcast(.stop)
    }

    private func filesChanged(_ paths: Set<String>) {
        var parts: ReloadParts = []
        if paths.contains(config.routesPath) { parts.insert(.routes) }
        if paths.contains(config.ide.launch.keysPath) { parts.insert(.keys) }
        if config.tls.certificates.contains(where: { paths.contains($0.certificate) || paths.contains($0.key) }) {
            parts.insert(.certificates)
        }
        if !parts.isEmpty { requestReload(parts) }
    }

    /// Reads files on a thread beside the loop, and hears of it by mail.
    func load(_ job: ReloadJob) throws(SystemError) {
        try Thread.start("reload") { [mailbox] in mailbox.post(.loaded(job.run())) }
    }

    // MARK: Ticks

    private var ticks = 0
    /// Worked out once a configuration: `auto` reads the machine's and the cgroup's figures.
    lazy var memoryBudget = config.memoryBudget

    private var memoryRelief = MemoryRelief()

    private func tick() {
        let used = SystemMemory.residentBytes() ?? 0
        let pressure = memoryBudget.pressure(used: used)
        if pressure != shared.memoryPressure {
            let eased = shared.memoryPressure >= .noBodies && pressure < .noBodies
            shared.memoryPressure = pressure
            if eased { shared.broadcast(.memoryEased) }
            logEvent(pressure > .normal ? .warning : .info, "memory") {
                $0.field("resident", used)
                $0.field("pressure", Int(pressure.rawValue))
            }
        }
        if loop.nowMs >= drainEndsMs {
            logEvent(.warning, "stop") { $0.field("message", "limits.drain is over") }
            stopWorkers()
        }
        if loop.nowMs >= exitMs {
            exitMs = .max
            logEvent(.error, "stop") { $0.field("message", "an event loop does not end: the process does without it") }
            loop.stop()
        }
        let now = LoadedFiles.moment()
        readState(now)
        ticks += 1
        if ticks % 4 == 0 { everySecond(now) }
        if pressure >= .noBodies { relieveMemory(used) } else { memoryRelief = MemoryRelief() }
        ticksUntilRotation -= 1
        if ticksUntilRotation == 0 {
            ticksUntilRotation = Self.ticketRotationTicks
            ticketKeys = ticketKeys.rotated()
            shared.broadcast(.tickets(ticketKeys))
        }
    }

    /// Memory is short: in turn the loops give up what they must, and what they freed goes back to the system, as it
    /// still counts as ours until then.
    private func relieveMemory(_ used: Int) {
        guard ticks % 2 == 0 else {
            malloc_trim(0)
            return
        }
        guard var shed = memoryRelief.next(used: used, budget: memoryBudget, nowMs: loop.nowMs) else { return }
        shed.largest = shared.takeLargestStalled()
        shared.broadcast(.memoryShort(shed))
        minecraft.broadcast(.memoryShort(shed))
    }

    private func everySecond(_ now: Moment) {
        checkReload()
        checkWatch()
        warnOfCertificates()
        // A tunnel whose client takes nothing does not look at the clock itself.
        if shared.sessions.sweep(now: now) > 0 { shared.broadcast(.sessionsEnded) }
        shared.spent.sweep(now: now)
        if revocationStore.sweep(now: now) { publish() }
        do throws(StateError) {
            if try shared.keyRing.maintain(now: now) { logEvent(.info, "key_ring_rotated") { _ in } }
            stateHealth.note(.keyRing, nil)
        } catch {
            stateHealth.note(.keyRing, error.description)
        }
        if stateHealth.isFailing(.lastGood), ticks % 20 == 0 {
            stateHealth.note(.lastGood, LoadedFiles.saveLastGood(routes, config))
        }
        noteStateHealth()
        metrics.setSessions(shared.sessions.count)
        metrics.setSources(shared.sources.trackedSources)
    }

    // MARK: Versions

    /// One version of everything, for the loops.
    func makeSnapshot() throws(StartFailure) -> GatewaySnapshot {
        let rules = routes.revoked.map(Revocations.Rule.init) + revokedByRefusedFile.map(Revocations.Rule.init)
        return GatewaySnapshot(
            settings: try config.gatewaySettings(sendsHSTS: options.sendsHSTS), routes: routes,
            verifier: LaunchVerifier(keys: keys, policy: config.launchPolicy),
            revocations: Revocations(rules + revocationStore.rules))
    }

    /// One version of everything for the Minecraft side. On this thread alone, as it carries backends over.
    func makeMinecraftSnapshot() -> MinecraftSnapshot {
        minecraft.snapshot(settings: config.minecraftSettings, routes: routes)
    }

    /// Hands what is in force now to the loops and the metrics.
    func publish() {
        guard let snapshot = try? makeSnapshot() else { return }
        _ = shared.sessions.end(coveredBy: snapshot.revocations, now: LoadedFiles.moment())
        shared.adopt(snapshot)
        minecraft.broadcast(.adopt(makeMinecraftSnapshot()))
        metrics.setBackends(minecraft.backends)
        metrics.setRoutes(.ide, routes.ideCount)
        metrics.setRoutes(.minecraft, routes.minecraft.count)
        metrics.setRoutesGeneration(routes.generation)
        metrics.setRouteConflicts(routes.conflicts)
        metrics.setCertificates(
            certificates.map {
                Metrics.Certificate(
                    name: $0.names.first ?? $0.path, key: $0.keyKind, notAfterEpochS: $0.notAfter,
                    lifetimeS: $0.notAfter - $0.notBefore)
            })
        metrics.setReady(routes.ideCount + routes.minecraft.count > 0)
    }

    /// Writes one line of the process's own.
    func logEvent(_ level: Observe.LogLevel, _ event: StaticString, _ fields: (inout ByteBuffer) -> Void) {
        guard log.allows(level) else { return }
        var line = ByteBuffer(capacity: 512)
        line.beginLog(level, event, epochMs: Clock.epochMs())
        fields(&line)
        line.endLog()
        line.withReadable { log.submit($0) }
    }
}

/// What other threads tell the supervisor.
enum SupervisorMessage: Sendable {
    case loaded(ReloadResult)
    case files(FileWatch.Report)
    case workerStarted
    case workerEnded(String?)
}
