import Routing
import Synchronization
import Wire

/// One route and what all loops know of it: its backends, who is next, its status answers, its players. The route is of
/// one snapshot; the rest is carried to the next, the answers as long as no backend leaves the route.
final class RouteState: Sendable {
    let route: MinecraftRoute
    /// In the order of the route.
    let backends: [Backend]
    let shared: RouteShared
    /// What its backends answered to status requests.
    let status: StatusAnswers

    init(_ route: MinecraftRoute, backends: [Backend], shared: RouteShared, former: RouteState?) {
        self.route = route
        self.backends = backends
        self.shared = shared
        // The address of a backend that left may be another route's now, so its answers are dropped, also those that are
        // still on their way.
        let keepsAll = former?.backends.allSatisfy { old in backends.contains { $0 === old } } ?? false
        let kept = keepsAll ? former?.status : nil
        status = kept ?? StatusAnswers()
    }

    /// Whether the backend is one of the route's.
    func has(_ backend: Backend) -> Bool { backends.contains { $0 === backend } }

    /// Why no player can be sent anywhere, if so.
    enum Absence { case offline, draining }

    var absence: Absence? {
        if backends.indices.contains(where: mayTakePlayers) { return nil }
        let isDrained = !backends.indices.contains(where: isWanted)
        return isDrained && backends.contains(where: \.isUp) ? .draining : .offline
    }

    /// Whether a backend is not drained, neither by command nor by a weight of 0 in the routes.
    private func isWanted(_ index: Int) -> Bool { !backends[index].isDraining && route.backends[index].weight > 0 }

    /// Whether it is also in rotation.
    private func mayTakePlayers(_ index: Int) -> Bool { backends[index].isUp && isWanted(index) }

    /// Chooses a backend for a player and counts the player there. `tried` holds places in the route.
    func choose(for source: IPAddress, tried: Set<Int>, slowStartMs: Int, nowMs: UInt64) -> (Int, Backend)? {
        shared.selection.withLock { selection in
            var candidates: [Candidate] = []
            for (index, backend) in backends.enumerated() where mayTakePlayers(index) && !tried.contains(index) {
                let weight = Double(route.backends[index].weight)
                let slow = route.balance != .sourceHash
                candidates.append(
                    Candidate(
                        index: index,
                        weight: slow ? weight * backend.share(nowMs: nowMs, slowStartMs: slowStartMs) : weight,
                        open: backend.open, key: backend.endpoint.selectionKey))
            }
            guard let index = selection.select(route.balance, among: candidates, source: source) else { return nil }
            backends[index].enter()
            return (index, backends[index])
        }
    }

    /// When every backend that is not drained is out of rotation: one of them all the same, each in turn, and once a second at most. Checks can
    /// be wrong of a server that answers no ping.
    func chooseLastResort(nowMs: UInt64) -> (Int, Backend)? {
        let places = backends.indices.filter(isWanted)
        guard !places.isEmpty, shared.mayTryLastResort(nowMs: nowMs) else { return nil }
        let turn = shared.lastResortTurn.add(1, ordering: .relaxed).newValue
        let index = places[Int(truncatingIfNeeded: turn & 0xffff) % places.count]
        backends[index].enter()
        return (index, backends[index])
    }

    /// A backend to ask for a status: each in turn, players do not matter.
    func chooseForStatus() -> Backend? {
        let up = backends.filter(\.isUp)
        guard !up.isEmpty else { return nil }
        let turn = shared.statusTurn.add(1, ordering: .relaxed).newValue
        return up[Int(truncatingIfNeeded: turn & 0xffff) % up.count]
    }
}

/// The status answers of a route, under their lock.
final class StatusAnswers: Sendable {
    private let cache = Mutex(StatusCache())

    func withLock<Result>(_ body: (inout StatusCache) -> Result) -> Result {
        cache.withLock { body(&$0) }
    }
}

/// What a route keeps through reloads.
final class RouteShared: Sendable {
    let selection = Mutex(ServerSelection())
    let players = Atomic<Int>(0)
    let statusTurn = Atomic<UInt64>(0)
    let lastResortTurn = Atomic<UInt64>(0)
    private let nextLastResortMs = Atomic<UInt64>(0)

    /// Whether a second has passed since the last one; true for one caller only.
    func mayTryLastResort(nowMs: UInt64) -> Bool {
        let next = nextLastResortMs.load(ordering: .relaxed)
        guard nowMs >= next else { return false }
        return nextLastResortMs.compareExchange(expected: next, desired: nowMs + 1000, ordering: .relaxed).exchanged
    }

    /// Counts a player in unless the route is full; 0 is no cap.
    func enter(atMost maximum: Int) -> Bool {
        let now = players.add(1, ordering: .relaxed).newValue
        if maximum == 0 || now <= maximum { return true }
        players.subtract(1, ordering: .relaxed)
        return false
    }

    func leave() { players.subtract(1, ordering: .relaxed) }
}
