import Wire

/// One immutable, validated version of the routes, so that a loop that holds one is never changed under its hands. Any
/// thread may read it. A class, because a look-up then costs no copy of five arrays' references.
public final class RouteTable: Sendable {
    /// The IDE routes in ascending order of vmid.
    public let ide: [IDERoute]
    /// The Minecraft routes in the order of the file.
    public let minecraft: [MinecraftRoute]
    /// What the file revokes.
    public let revoked: [RevocationRule]
    /// Which version this is; grows with each one adopted.
    public let generation: UInt64
    /// How many IDE routes share their address and port with another.
    public let conflicts: Int

    /// The vmids of `ide` alone: a look-up touches a few cache lines of these before one route.
    private let vmids: [UInt32]
    private let minecraftIndex: [String: Int]

    /// A table without routes.
    public static let empty = RouteTable(ide: [], minecraft: [], revoked: [], generation: 0)

    /// Sorts the routes and marks those in conflict. Of several routes for one vmid or host the first counts.
    public init(ide: [IDERoute], minecraft: [MinecraftRoute], revoked: [RevocationRule], generation: UInt64) {
        let (routes, conflicts) = Self.markingConflicts(in: Self.sorted(ide))
        self.ide = routes
        self.conflicts = conflicts
        self.vmids = routes.map(\.vmid)
        self.minecraft = minecraft
        self.minecraftIndex = Dictionary(
            minecraft.enumerated().map { ($0.element.host, $0.offset) }, uniquingKeysWith: { first, _ in first })
        self.revoked = revoked
        self.generation = generation
    }

    /// How many IDE routes there are.
    public var ideCount: Int { ide.count }

    /// The route of a vmid, by binary search.
    public func route(for vmid: UInt32) -> IDERoute? {
        var low = 0
        var high = vmids.count
        while low < high {
            let middle = (low &+ high) >> 1
            if vmids[middle] < vmid { low = middle &+ 1 } else { high = middle }
        }
        guard low < vmids.count, vmids[low] == vmid else { return nil }
        return ide[low]
    }

    /// The route for a host a player typed, already lower-case and without a trailing dot: the exact host, then the
    /// longest wildcard, then `*`.
    public func minecraftRoute(for host: String) -> MinecraftRoute? {
        if host != "*", !host.hasPrefix("*."), let exact = minecraftIndex[host] { return minecraft[exact] }
        var rest = host[...]
        while let dot = rest.firstIndex(of: ".") {
            rest = rest[rest.index(after: dot)...]
            if let wildcard = minecraftIndex["*." + rest] { return minecraft[wildcard] }
        }
        return minecraftIndex["*"].map { minecraft[$0] }
    }
}

extension RouteTable {
    private static func sorted(_ routes: [IDERoute]) -> [IDERoute] {
        // Files are nearly always written in order; then nothing is moved. `map` takes
        // exactly the room it needs, which an array that grew does not.
        let inOrder = zip(routes, routes.dropFirst()).allSatisfy { $0.vmid < $1.vmid }
        if inOrder { return routes.map { $0 } }
        // Indices, not routes, are sorted: stable by construction and cheap to move.
        let order = routes.indices.sorted { (routes[$0].vmid, $0) < (routes[$1].vmid, $1) }
        var kept: [Int] = []
        kept.reserveCapacity(order.count)
        for index in order where kept.isEmpty || routes[kept[kept.count - 1]].vmid != routes[index].vmid {
            kept.append(index)
        }
        return kept.map { routes[$0] }
    }

    private static func markingConflicts(in routes: [IDERoute]) -> (routes: [IDERoute], conflicts: Int) {
        var routes = routes
        var first: [Endpoint: Int] = [:]
        first.reserveCapacity(routes.count)
        for index in routes.indices {
            if let other = first.updateValue(index, forKey: routes[index].endpoint) {
                routes[index].isConflicted = true
                routes[other].isConflicted = true
            }
        }
        return (routes, routes.count { $0.isConflicted })
    }
}
