import Synchronization

/// All numbers of the process: one `LoopMetrics` a loop, and what belongs to no loop. Any thread may call it.
public final class Metrics: Sendable {
    /// A certificate and how long it is valid.
    public struct Certificate: Sendable, Equatable {
        /// The first name it is for.
        public let name: String
        /// The kind of its key: `rsa`, `ecdsa` or `ed25519`.
        public let key: String
        /// Its end, in seconds since 1970.
        public let notAfterEpochS: Int64
        /// From its beginning to its end, in seconds.
        public let lifetimeS: Int64

        /// A certificate and how long it is valid.
        public init(name: String, key: String, notAfterEpochS: Int64, lifetimeS: Int64) {
            self.name = name
            self.key = key
            self.notAfterEpochS = notAfterEpochS
            self.lifetimeS = lifetimeS
        }
    }

    /// A backend of a Minecraft route, by its configured names.
    public struct Backend: Sendable, Equatable {
        /// The route's host.
        public let route: String
        /// The backend's address.
        public let backend: String
        /// Whether it is in rotation.
        public var up: Bool

        /// A backend and whether it is in rotation.
        public init(route: String, backend: String, up: Bool) {
            self.route = route
            self.backend = backend
            self.up = up
        }
    }

    struct Named: Sendable {
        var certificates: [Certificate] = []
        var backends: [Backend] = []
    }

    let loops: [LoopMetrics]
    let shared = Cells(count: Shared.count)
    let named = Mutex(Named())
    let log: LogSink?

    /// Where each process-wide number lies.
    enum Shared {
        static let sessions = 0
        static let routes = 1
        static let generation = 3
        static let conflicts = 4
        static let reloads = 5
        static let sources = 8
        static let ready = 9
        static let draining = 10
        static let stateFailed = 11
        static let refusals = 12
        static let count = refusals + 5 * 64
    }

    /// Metrics for so many loops; `log` only for the number of its dropped lines.
    public init(loops: Int, log: LogSink? = nil) {
        self.loops = (0..<loops).map { _ in LoopMetrics() }
        self.log = log
    }

    /// The counters of one loop, to be taken once by that loop.
    public subscript(_ loop: Int) -> LoopMetrics { loops[loop] }

    /// Live sessions.
    public func setSessions(_ count: Int) {
        shared.set(Shared.sessions, UInt64(clamping: count))
    }

    /// Routes of a kind in the snapshot.
    public func setRoutes(_ kind: RouteKind, _ count: Int) {
        shared.set(Shared.routes + Int(kind.rawValue), UInt64(clamping: count))
    }

    /// The number of the snapshot that serves.
    public func setRoutesGeneration(_ generation: UInt64) {
        shared.set(Shared.generation, generation)
    }

    /// vmids of the snapshot that are in conflict.
    public func setRouteConflicts(_ count: Int) {
        shared.set(Shared.conflicts, UInt64(clamping: count))
    }

    /// Sources remembered for the limits.
    public func setSources(_ count: Int) {
        shared.set(Shared.sources, UInt64(clamping: count))
    }

    /// Whether something under `state` cannot be written.
    public func setStateFailed(_ failed: Bool) {
        shared.set(Shared.stateFailed, failed ? 1 : 0)
    }

    /// A reload ended.
    public func reload(_ result: ReloadResult) {
        shared.add(Shared.reloads + Int(result.rawValue))
    }

    /// Something was refused outside the loops: a reload that removes too much.
    public func refused(_ listener: ListenerLabel, _ reason: RefusalReason) {
        shared.add(Shared.refusals + Int(listener.rawValue) * 64 + Int(reason.rawValue))
    }

    /// The certificates in use. Of several with the same name and kind of key the one that ends first is shown.
    public func setCertificates(_ certificates: [Certificate]) {
        var shown: [Certificate] = []
        for certificate in certificates.sorted(by: { $0.notAfterEpochS < $1.notAfterEpochS })
        where !shown.contains(where: { $0.name == certificate.name && $0.key == certificate.key }) {
            shown.append(certificate)
        }
        named.withLock { $0.certificates = shown }
    }

    /// The backends of the snapshot; pairs of route and backend should be unique.
    public func setBackends(_ backends: [Backend]) {
        named.withLock { $0.backends = backends }
    }

    /// A health check changed a backend's state. An unknown one is ignored.
    public func setBackend(route: String, backend: String, up: Bool) {
        named.withLock { named in
            let at = named.backends.firstIndex { $0.route == route && $0.backend == backend }
            if let at { named.backends[at].up = up }
        }
    }
}

// MARK: Health

extension Metrics {
    /// Whether `/readyz` may say 200: there are routes, and no drain is going on.
    public var isReady: Bool { shared[Shared.ready] == 1 && shared[Shared.draining] == 0 }

    /// There are routes to serve (or no longer).
    public func setReady(_ ready: Bool) {
        shared.set(Shared.ready, ready ? 1 : 0)
    }

    /// A drain began or was undone.
    public func setDraining(_ draining: Bool) {
        shared.set(Shared.draining, draining ? 1 : 0)
    }

    /// Loops that have begun but not turned for `limitMs` (monotonic time): `/healthz` is 200 when there are none.
    public func stalledLoops(nowMs: Int64, limitMs: Int64 = 5000) -> Int {
        var stalled = 0
        for loop in loops {
            let last = Int64(clamping: loop.cells[Layout.lastTurn])
            if last > 0, nowMs - last >= limitMs { stalled += 1 }
        }
        return stalled
    }
}

// MARK: Sums

extension Metrics {
    /// The sum of a cell over all loops.
    func sum(_ cell: Int) -> UInt64 {
        var total: UInt64 = 0
        for loop in loops { total &+= loop.cells[cell] }
        return total
    }

    /// Connections open at a listener now.
    public func connections(_ listener: ListenerLabel) -> Int {
        gauge(Layout.connections + Int(listener.rawValue))
    }

    /// Tunnels open now.
    public func tunnels(_ kind: TunnelKind) -> Int {
        gauge(Layout.tunnels + Int(kind.rawValue))
    }

    /// Refusals so far, over all loops.
    public func refusals(_ listener: ListenerLabel, _ reason: RefusalReason) -> UInt64 {
        sum(Layout.refused(listener, reason))
            &+ shared[Shared.refusals + Int(listener.rawValue) * 64 + Int(reason.rawValue)]
    }

    /// Requests answered so far.
    public var requests: UInt64 {
        var total: UInt64 = 0
        for cell in Layout.requests..<Layout.requestTime { total &+= sum(cell) }
        return total
    }

    /// Bytes so far.
    public func bytes(_ listener: ListenerLabel, _ direction: Direction) -> UInt64 {
        sum(Layout.bytes(listener, direction))
    }

    /// A count up and down; a reader may see the loops at different moments, but never less than nothing.
    private func gauge(_ cell: Int) -> Int {
        max(Int(truncatingIfNeeded: sum(cell)), 0)
    }
}
