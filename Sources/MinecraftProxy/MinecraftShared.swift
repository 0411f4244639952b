public import Limits
public import Observe
import Reactor
public import Routing
import Synchronization
public import Wire

/// One immutable version of everything a player's connection is decided by.
public final class MinecraftSnapshot: Sendable {
    let settings: MinecraftSettings
    let table: RouteTable
    let routes: [RouteState]
    private let byHost: [String: RouteState]

    init(settings: MinecraftSettings, table: RouteTable, routes: [RouteState]) {
        self.settings = settings
        self.table = table
        self.routes = routes
        byHost = Dictionary(routes.map { ($0.route.host, $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// The route for what a client put in its handshake.
    func route(for host: MinecraftHost) -> RouteState? {
        let found: MinecraftRoute?
        switch host {
        case .name(let name): found = table.minecraftRoute(for: name)
        case .none, .forged: found = table.minecraftRoute(for: "*")
        }
        return found.flatMap { byHost[$0.host] }
    }

    /// Whether the backend is still one of its route's. Asked before anything is sent to it: by then its address may be
    /// another's.
    func has(_ backend: Backend) -> Bool { byHost[backend.route]?.has(backend) ?? false }

    /// The same route in this version, if it is there.
    func route(like other: RouteState) -> RouteState? { byHost[other.route.host] }
}

/// Everything that the Minecraft side of all loops shares. Locked or atomic inside; nothing here is touched per byte.
public final class MinecraftShared: Sendable {
    /// Refusals in the game's own words that may be under way at once.
    static let refusalsAtOnce = 1024
    /// Of which one source may have so many.
    static let refusalsOfOneSource = 16

    let sources: SourceTable
    let metrics: Metrics
    let log: LogSink
    let places: any ConnectionPlaces
    private let refusals = Atomic<Int>(0)
    private let mailboxes = Mutex<[Int: Mailbox<MinecraftMessage>]>([:])
    private let kept = Mutex(Kept())

    private struct Kept: Sendable {
        var backends: [BackendKey: Backend] = [:]
        var routes: [String: RouteState] = [:]
        /// The version that was made last.
        var latest: MinecraftSnapshot?
    }

    private struct BackendKey: Hashable, Sendable {
        var route: String
        var endpoint: Endpoint
    }

    /// Shared state for one process.
    public init(sources: SourceTable, metrics: Metrics, log: LogSink, places: any ConnectionPlaces) {
        self.sources = sources
        self.metrics = metrics
        self.log = log
        self.places = places
    }

    // MARK: Versions

    /// Makes a version for the loops: known backends and routes keep their players, health and answers. One thread.
    public func snapshot(settings: MinecraftSettings, routes table: RouteTable) -> MinecraftSnapshot {
        kept.withLock { kept in
            var next = Kept()
            let routes = table.minecraft.map { route in
                let former = kept.routes[route.host]
                let backends = route.backends.map { place in
                    let key = BackendKey(route: route.host, endpoint: place.endpoint)
                    let backend = kept.backends[key] ?? Backend(route: route.host, endpoint: place.endpoint)
                    next.backends[key] = backend
                    return backend
                }
                let state = RouteState(
                    route, backends: backends, shared: former?.shared ?? RouteShared(), former: former)
                next.routes[route.host] = state
                return state
            }
            let snapshot = MinecraftSnapshot(settings: settings, table: table, routes: routes)
            next.latest = snapshot
            kept = next
            return snapshot
        }
    }

    /// The version in force, which a loop may not have adopted yet.
    var latest: MinecraftSnapshot? { kept.withLock { $0.latest } }

    /// Every backend and whether it is in rotation, for `Metrics.setBackends`.
    public var backends: [Metrics.Backend] {
        kept.withLock { kept in
            kept.backends.values
                .map { Metrics.Backend(route: $0.route, backend: $0.endpoint.description, up: $0.isUp) }
                .sorted { ($0.route, $0.backend) < ($1.route, $1.backend) }
        }
    }

    /// Takes a backend of a route out for new players, or back; its players stay. False when there is no such backend.
    public func setDraining(_ draining: Bool, route: String, backend endpoint: Endpoint) -> Bool {
        kept.withLock { kept in
            guard let backend = kept.backends[BackendKey(route: route, endpoint: endpoint)] else { return false }
            backend.isDraining = draining
            return true
        }
    }

    // MARK: Loops

    /// Posts a message to every loop.
    public func broadcast(_ message: MinecraftMessage) {
        for mailbox in mailboxes.withLock({ Array($0.values) }) { mailbox.post(message) }
    }

    var loopCount: Int { mailboxes.withLock { $0.count } }

    func add(_ mailbox: Mailbox<MinecraftMessage>, loop: Int) { mailboxes.withLock { $0[loop] = mailbox } }

    func post(_ message: MinecraftMessage, to loop: Int) { mailboxes.withLock { $0[loop] }?.post(message) }

    // MARK: Refusals

    func takeRefusal() -> Bool {
        if refusals.add(1, ordering: .relaxed).newValue <= Self.refusalsAtOnce { return true }
        refusals.subtract(1, ordering: .relaxed)
        return false
    }

    func giveBackRefusal() { refusals.subtract(1, ordering: .relaxed) }
}

/// What other threads tell a loop. Values only.
public enum MinecraftMessage: Sendable {
    /// Serve by this version from now on; tunnels stay.
    case adopt(MinecraftSnapshot)
    /// Memory is short: close what has to go.
    case memoryShort(MemoryShed)
    /// A status fetch for a route ended.
    case statusReady(route: String, ok: Bool)
    /// Accept no more, and close what is open spread over so many milliseconds.
    case drain(overMs: Int)
}
