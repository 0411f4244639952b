public import Wire

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
    /// Places in `ide` in the order of their endpoints, to find who has an address.
    private let byEndpoint: [UInt32]
    private let minecraftIndex: [String: Int]

    /// A table without routes.
    public static let empty = RouteTable(ide: [], minecraft: [], revoked: [], generation: 0)

    /// Sorts the routes and marks those in conflict. Of several routes for one vmid or host the first counts.
    public init(ide: [IDERoute], minecraft: [MinecraftRoute], revoked: [RevocationRule], generation: UInt64) {
        var routes = Self.sorted(ide)
        let byEndpoint = Self.orderByEndpoint(routes)
        Self.markConflicts(in: &routes, byEndpoint)
        self.ide = routes
        self.byEndpoint = byEndpoint
        self.conflicts = routes.count { $0.isConflicted }
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

    /// Whether an IDE other than `vmid`'s is at this address, on whatever port: what is sent there may reach it.
    public func isTaken(_ address: IPAddress, byOtherThan vmid: UInt32) -> Bool {
        var low = 0
        var high = byEndpoint.count
        while low < high {
            let middle = (low &+ high) >> 1
            let found = ide[Int(byEndpoint[middle])].endpoint.address
            if found.isBefore(address) { low = middle &+ 1 } else { high = middle }
        }
        // Each vmid is there once, so that the second is another's.
        for place in byEndpoint[low...].prefix(2) {
            let route = ide[Int(place)]
            if route.endpoint.address == address && route.vmid != vmid { return true }
        }
        return false
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

    private static func orderByEndpoint(_ routes: [IDERoute]) -> [UInt32] {
        var keys: [(endpoint: Endpoint, place: UInt32)] = []
        keys.reserveCapacity(routes.count)
        for (place, route) in routes.enumerated() { keys.append((route.endpoint, UInt32(place))) }
        keys.sort { one, other in
            if one.endpoint.address != other.endpoint.address {
                return one.endpoint.address.isBefore(other.endpoint.address)
            }
            return one.endpoint.port < other.endpoint.port
        }
        return keys.map(\.place)
    }

    private static func markConflicts(in routes: inout [IDERoute], _ byEndpoint: [UInt32]) {
        for (one, other) in zip(byEndpoint, byEndpoint.dropFirst())
        where routes[Int(one)].endpoint == routes[Int(other)].endpoint {
            routes[Int(one)].isConflicted = true
            routes[Int(other)].isConflicted = true
        }
    }
}

extension IPAddress {
    /// Any order will do, as long as equal addresses are neighbours in it.
    fileprivate func isBefore(_ other: IPAddress) -> Bool {
        high == other.high ? low < other.low : high < other.high
    }
}
