import Observe
import Reactor
import Routing
import Synchronization
import Wire

/// Checks every backend of the snapshot in its turn and decides which are in rotation. On the first loop alone.
struct HealthMonitor {
    /// How often it looks which pings are due.
    static let tickMs: UInt64 = 200
    /// Checks under way at once of backends in rotation, and as many of others: however many are silent, those that
    /// answer are looked at in time.
    private static let atOnce = 64
    /// What is not settled is looked into again so soon.
    private static let againMs: UInt64 = 1000
    /// A status of this protocol is asked for: servers of every age answer it.
    static let protocolVersion: Int32 = 47

    private struct State {
        var nextMs: UInt64 = 0
        var failures = 0
        var successes = 0
        /// The check under way was begun while the backend was in rotation, or out of it; nil when there is none.
        var runningUp: Bool?
    }

    private var states: [ObjectIdentifier: State] = [:]
    private var running = (up: 0, down: 0)

    /// The checks to begin now: those that have been due for longest. The caller begins them all.
    mutating func due(_ snapshot: MinecraftSnapshot, nowMs: UInt64) -> [(RouteState, Backend)] {
        var known: Set<ObjectIdentifier> = []
        var due: [(sinceMs: UInt64, route: RouteState, backend: Backend)] = []
        for route in snapshot.routes where route.route.health != .none {
            for backend in route.backends {
                let id = ObjectIdentifier(backend)
                known.insert(id)
                let state = states[id, default: State()]
                guard state.runningUp == nil, state.nextMs <= nowMs else { continue }
                due.append((state.nextMs, route, backend))
            }
        }
        for id in Array(states.keys) where !known.contains(id) && states[id]?.runningUp == nil { states[id] = nil }
        due.sort { $0.sinceMs < $1.sinceMs }
        return due.compactMap { begin($0.backend) ? ($0.route, $0.backend) : nil }
    }

    private mutating func begin(_ backend: Backend) -> Bool {
        let isUp = backend.isUp
        guard (isUp ? running.up : running.down) < Self.atOnce else { return false }
        if isUp { running.up += 1 } else { running.down += 1 }
        states[ObjectIdentifier(backend), default: State()].runningUp = isUp
        return true
    }

    /// A ping ended, nil when it could not be sent; says whether the backend comes back or goes, nil when nothing changes.
    mutating func ended(_ backend: Backend, isGood: Bool?, _ health: HealthSettings, nowMs: UInt64) -> Bool? {
        let id = ObjectIdentifier(backend)
        var state = states[id, default: State()]
        if let wasUp = state.runningUp { if wasUp { running.up -= 1 } else { running.down -= 1 } }
        state.runningUp = nil
        guard let isGood else {
            state.nextMs = nowMs + Self.againMs
            states[id] = state
            return nil
        }
        state.successes = isGood ? state.successes + 1 : 0
        state.failures = isGood ? 0 : state.failures + 1
        var verdict: Bool?
        if isGood, !backend.isUp, state.successes >= health.rise { verdict = true }
        if !isGood, backend.isUp, state.failures >= health.fall { verdict = false }
        // A first doubt is looked into soon; what is settled waits its turn.
        let isSettled = (verdict ?? backend.isUp) == isGood
        state.nextMs = nowMs + UInt64(max(1, isSettled ? health.intervalMs : min(health.intervalMs, Int(Self.againMs))))
        states[id] = state
        return verdict
    }
}

extension MinecraftWorker {
    /// Starts the health checks that are due.
    func checkHealth() {
        // What is checked no more, by a reload, counts as there.
        for route in inForce.routes where route.route.health == .none {
            for backend in route.backends where !backend.isUp { backendChanged(backend, up: true) }
        }
        // Taken out first: a connect may fail at once, and end its check.
        let due = health?.due(inForce, nowMs: nowMs) ?? []
        for (route, backend) in due {
            let host = route.route.host.hasPrefix("*") ? backend.endpoint.address.description : route.route.host
            StatusProbe(.health(route), backend, route.route.proxyProtocol, worker: self).start(
                version: HealthMonitor.protocolVersion, host: host, timeoutMs: settings.health.timeoutMs)
        }
    }

    /// A health check ended.
    func healthChecked(_ backend: Backend, _ route: RouteState, isGood: Bool?, json: [UInt8]?) {
        if let json { route.status.withLock { $0.note(json, nowMs: nowMs) } }
        let verdict = health?.ended(backend, isGood: isGood, settings.health, nowMs: nowMs)
        if let verdict, route.route.health != .none, snapshot.has(backend) { backendChanged(backend, up: verdict) }
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
