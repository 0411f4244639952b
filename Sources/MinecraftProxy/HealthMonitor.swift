import Observe
import Reactor
import Routing
import Synchronization
import Wire

/// Pings every backend of the snapshot by turns and decides which are in rotation. On the first loop alone.
struct HealthMonitor {
    /// How often it looks which pings are due.
    static let tickMs: UInt64 = 200
    /// Pings under way at once.
    private static let atOnce = 64
    /// A status of this protocol is asked for: servers of every age answer it.
    static let protocolVersion: Int32 = 47

    private struct State {
        var nextMs: UInt64 = 0
        var failures = 0
        var successes = 0
        var isRunning = false
    }

    private var states: [ObjectIdentifier: State] = [:]
    private var running = 0

    /// The pings that are due, which the caller starts.
    mutating func due(_ snapshot: MinecraftSnapshot, nowMs: UInt64) -> [(RouteState, Backend)] {
        var known: Set<ObjectIdentifier> = []
        var due: [(RouteState, Backend)] = []
        for route in snapshot.routes {
            for backend in route.backends {
                let id = ObjectIdentifier(backend)
                known.insert(id)
                let state = states[id, default: State()]
                guard !state.isRunning, state.nextMs <= nowMs, running < Self.atOnce else { continue }
                states[id, default: State()].isRunning = true
                running += 1
                due.append((route, backend))
            }
        }
        for id in Array(states.keys) where !known.contains(id) && states[id]?.isRunning == false { states[id] = nil }
        return due
    }

    /// A ping ended; says whether the backend comes back or goes, nil when nothing changes.
    mutating func ended(_ backend: Backend, isGood: Bool, _ health: HealthSettings, nowMs: UInt64) -> Bool? {
        let id = ObjectIdentifier(backend)
        running -= 1
        var state = states[id, default: State()]
        state.isRunning = false
        state.successes = isGood ? state.successes + 1 : 0
        state.failures = isGood ? 0 : state.failures + 1
        var verdict: Bool?
        if isGood, !backend.isUp, state.successes >= health.rise { verdict = true }
        if !isGood, backend.isUp, state.failures >= health.fall { verdict = false }
        // A first doubt is looked into soon; what is settled waits its turn.
        let isSettled = (verdict ?? backend.isUp) == isGood
        state.nextMs = nowMs + UInt64(max(1, isSettled ? health.intervalMs : min(health.intervalMs, 1000)))
        states[id] = state
        return verdict
    }
}

extension MinecraftWorker {
    /// Starts the health checks that are due.
    func checkHealth() {
        // Taken out first: a connect may fail at once, and end its check.
        let due = health?.due(inForce, nowMs: nowMs) ?? []
        for (route, backend) in due {
            let host = route.route.host.hasPrefix("*") ? backend.endpoint.address.description : route.route.host
            StatusProbe(.health(route), backend, route.route.proxyProtocol, worker: self).start(
                version: HealthMonitor.protocolVersion, host: host, timeoutMs: settings.health.timeoutMs)
        }
    }

    /// A health check ended.
    func healthChecked(_ backend: Backend, _ route: RouteState, json: [UInt8]?) {
        if let json { route.status.withLock { $0.note(json, nowMs: nowMs) } }
        let verdict = health?.ended(backend, isGood: json != nil, settings.health, nowMs: nowMs)
        if let verdict, snapshot.has(backend) { backendChanged(backend, up: verdict) }
    }

    func backendChanged(_ backend: Backend, up: Bool) {
        backend.setUp(up, nowMs: nowMs)
        shared.metrics.setBackend(route: backend.route, backend: backend.endpoint.description, up: up)
        guard shared.log.allows(up ? .info : .warning) else { return }
        log.beginLog(up ? .info : .warning, up ? "backend_up" : "backend_down", epochMs: loop.epochMs)
        log.field("route", text: backend.route)
        log.field("backend", text: backend.endpoint.description)
        log.endLog()
    }
}
