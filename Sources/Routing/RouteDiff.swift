/// What one version of the routes changes against another.
public struct RouteDiff: Sendable, Equatable {
    /// vmids only the new table has, ascending.
    public var added: [UInt32] = []
    /// vmids with another address, port or generation, ascending. Their tunnels end with 1012.
    public var changed: [UInt32] = []
    /// vmids only the old table has, ascending. Their tunnels end with 1012.
    public var removed: [UInt32] = []
    /// Minecraft hosts only the new table has.
    public var minecraftAdded: [String] = []
    /// Minecraft hosts whose route differs in any way.
    public var minecraftChanged: [String] = []
    /// Minecraft hosts only the old table has.
    public var minecraftRemoved: [String] = []

    /// Whether the routes are the same.
    public var isEmpty: Bool { self == RouteDiff() }

    /// What `new` changes against `old`, in one walk over both.
    public static func between(_ old: RouteTable, _ new: RouteTable) -> RouteDiff {
        var diff = RouteDiff()
        diff.compareIDE(old.ide, new.ide)
        diff.compareMinecraft(old.minecraft, new.minecraft)
        return diff
    }

    private mutating func compareIDE(_ old: [IDERoute], _ new: [IDERoute]) {
        var i = 0
        var j = 0
        while i < old.count || j < new.count {
            if j == new.count || (i < old.count && old[i].vmid < new[j].vmid) {
                removed.append(old[i].vmid)
                i += 1
            } else if i == old.count || new[j].vmid < old[i].vmid {
                added.append(new[j].vmid)
                j += 1
            } else {
                // A conflict that came or went moves nobody's container.
                if old[i].endpoint != new[j].endpoint || old[i].generation != new[j].generation {
                    changed.append(new[j].vmid)
                }
                i += 1
                j += 1
            }
        }
    }

    private mutating func compareMinecraft(_ old: [MinecraftRoute], _ new: [MinecraftRoute]) {
        let before = Dictionary(old.map { ($0.host, $0) }, uniquingKeysWith: { first, _ in first })
        let after = Set(new.map(\.host))
        for route in new {
            guard let previous = before[route.host] else {
                minecraftAdded.append(route.host)
                continue
            }
            if previous != route { minecraftChanged.append(route.host) }
        }
        minecraftRemoved = old.map(\.host).filter { !after.contains($0) }
    }
}

extension RouteDiff: CustomStringConvertible {
    /// `added: 3 (1101, 1102, play.example.com), changed: 1 (1103), removed: 0`: counts of both kinds and the first
    /// few names, for the log.
    public var description: String {
        let parts = [
            ("added", added, minecraftAdded), ("changed", changed, minecraftChanged),
            ("removed", removed, minecraftRemoved),
        ]
        return parts.map { word, vmids, hosts in
            let count = vmids.count + hosts.count
            let shown = vmids.prefix(5).map(String.init) + hosts.prefix(5)
            let more = count > shown.count ? ", …" : ""
            return count == 0 ? "\(word): 0" : "\(word): \(count) (\(shown.joined(separator: ", "))\(more))"
        }.joined(separator: ", ")
    }
}
