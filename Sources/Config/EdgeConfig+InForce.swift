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

    /// Why `table` could not stay in force under this configuration, which `path` holds; `nil` when it can.
    public func refusal(of table: RouteTable, path: String) -> ConfigProblem? {
        let rules = dialRules
        for route in table.ide {
            if !ide.vmids.contains(route.vmid) {
                let line = Self.line(of: "ide", in: path)
                return ConfigProblem(
                    file: path, line: line, message: "\(route.vmid), which has a route, is outside \"ide.vmids\"")
            }
            if let reason = rules.refusal(of: route.endpoint) {
                return Self.refusal("\(route.vmid)", route.endpoint, reason, path)
            }
        }
        for route in table.minecraft {
            for backend in route.backends {
                if let reason = rules.refusal(of: backend.endpoint) {
                    return Self.refusal(quoted(route.host), backend.endpoint, reason, path)
                }
            }
        }
        return nil
    }

    private static func refusal(_ name: String, _ endpoint: Endpoint, _ reason: String, _ path: String) -> ConfigProblem
    {
        ConfigProblem(
            file: path, line: line(of: "upstreams", in: path),
            message: "the route of \(name), which is in force: \(endpoint) \(reason)")
    }

    private static func line(of name: String, in path: String) -> Int {
        guard let document = try? SourceFile.read(path).document(), !document.nodes.isEmpty,
            document.kind(YAMLDocument.root) == .mapping
        else { return 1 }
        var line = 1
        document.forEachPair(of: YAMLDocument.root) { key, _ in
            if document.string(key) == name { line = document.line(key) }
        }
        return line
    }
}
