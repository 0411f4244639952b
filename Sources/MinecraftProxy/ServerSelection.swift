import Routing
import Wire

/// A backend as the choice sees it.
struct Candidate {
    /// Its place in the route.
    var index: Int
    /// Its weight, or what slow start leaves of it; more than 0.
    var weight: Double
    /// Players there now.
    var open: Int
    /// What its place in a source hash is computed of: stable for an address.
    var key: UInt64
}

/// Chooses among backends, by one of three methods. A value under the lock of its route.
struct ServerSelection: Sendable {
    /// Weighted round robin: what each backend, by its place in the route, is owed.
    private var credits: [Double] = []
    /// Where ties start to be broken next.
    private var rotation = 0

    /// The place in the route of the backend for a player from `source`; nil when there is no candidate.
    mutating func select(
        _ balance: MinecraftRoute.Balance, among candidates: [Candidate], source: IPAddress
    ) -> Int? {
        guard !candidates.isEmpty else { return nil }
        switch balance {
        case .leastConnections: return leastConnections(candidates)
        case .roundRobin: return roundRobin(candidates)
        case .sourceHash: return Self.sourceHash(candidates, source)
        }
    }

    /// The fewest players relative to the weight; of equals, each in turn.
    private mutating func leastConnections(_ candidates: [Candidate]) -> Int {
        var best: Candidate?
        var bestLoad = Double.infinity
        let count = candidates.count
        for step in 0..<count {
            let candidate = candidates[(rotation + step) % count]
            let load = Double(candidate.open + 1) / candidate.weight
            if load < bestLoad {
                best = candidate
                bestLoad = load
            }
        }
        rotation = (rotation + 1) & 0xffff
        return best?.index ?? candidates[0].index
    }

    /// Smooth weighted round robin: every backend earns its weight, the richest serves and pays for all.
    private mutating func roundRobin(_ candidates: [Candidate]) -> Int {
        let needed = candidates.reduce(0) { max($0, $1.index) } + 1
        if credits.count < needed { credits += Array(repeating: 0, count: needed - credits.count) }
        var total = 0.0
        var best = candidates[0].index
        for candidate in candidates {
            total += candidate.weight
            credits[candidate.index] += candidate.weight
            if credits[candidate.index] > credits[best] { best = candidate.index }
        }
        credits[best] -= total
        return best
    }

    /// Rendezvous hashing: a source ranks all backends the same way whoever else is there, so that only the players of
    /// one that leaves move.
    private static func sourceHash(_ candidates: [Candidate], _ source: IPAddress) -> Int {
        var best = candidates[0].index
        var bestScore = -Double.infinity
        for candidate in candidates {
            let hash = mix(mix(source.high ^ candidate.key) ^ source.low ^ (candidate.key << 1))
            // Between 0 and 1, never either; the logarithm makes shares follow the weights.
            let unit = (Double(hash >> 11) + 0.5) * 0x1p-53
            let score = -candidate.weight / naturalLogarithm(unit)
            if score > bestScore {
                best = candidate.index
                bestScore = score
            }
        }
        return best
    }

    /// The finaliser of SplitMix64.
    static func mix(_ value: UInt64) -> UInt64 {
        var z = value &+ 0x9e37_79b9_7f4a_7c15
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension Endpoint {
    /// The same for the same address and port in every process.
    var selectionKey: UInt64 {
        ServerSelection.mix(ServerSelection.mix(address.high) ^ ServerSelection.mix(address.low &+ UInt64(port) << 40))
    }
}
