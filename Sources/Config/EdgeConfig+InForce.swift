public import Routing
import Wire

/// A configuration that replaces one in force.
extension EdgeConfig {
    /// The keys that differ from `other` and only a restart can change; a reload names them.
    public func keysNeedingRestart(from other: EdgeConfig) -> [String] {
        var keys: [String] = []
        if domain != other.domain { keys.append("domain") }
        if statePath != other.statePath { keys.append("state") }
        if threads != other.threads { keys.append("threads") }
        if listen != other.listen { keys.append("listen") }
        return keys
    }

    /// This configuration without what only a restart can change, which stays as it is in `running`: so it comes into
    /// force, and routes are judged by that.
    public func inForce(after running: EdgeConfig) -> EdgeConfig {
        var next = self
        next.domain = running.domain
        next.statePath = running.statePath
        next.threads = running.threads
        next.listen = running.listen
        return next
    }

    /// Why `table` could not stay in force under this configuration, which `path` holds.
    public func refusals(of table: RouteTable, path: String) -> [ConfigProblem] {
        let rules = dialRules
        let problems = ProblemList(file: path)
        lazy var lines = Self.topLevelLines(path)
        for route in table.ide {
            if !ide.vmids.contains(route.vmid) {
                problems.error(lines["ide"] ?? 1, "\(route.vmid), which has a route, is outside \"ide.vmids\"")
            }
            if let refusal = rules.refusal(of: route.endpoint) {
                problems.error(lines["upstreams"] ?? 1, "the route of \(route.vmid): \(route.endpoint) \(refusal)")
            }
        }
        for route in table.minecraft {
            for backend in route.backends {
                guard let refusal = rules.refusal(of: backend.endpoint) else { continue }
                problems.error(
                    lines["upstreams"] ?? 1, "the route of \(quoted(route.host)): \(backend.endpoint) \(refusal)")
            }
        }
        return problems.inFileOrder.problems
    }

    private static func topLevelLines(_ path: String) -> [String: Int] {
        guard let document = try? SourceFile.read(path).document(), !document.nodes.isEmpty,
            document.kind(YAMLDocument.root) == .mapping
        else { return [:] }
        var lines: [String: Int] = [:]
        document.forEachPair(of: YAMLDocument.root) { key, _ in lines[document.string(key)] = document.line(key) }
        return lines
    }
}
