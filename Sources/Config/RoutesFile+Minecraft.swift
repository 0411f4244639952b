import Routing
import Wire

extension RoutesFile {
    /// Reads the `minecraft` list.
    static func readMinecraft(_ node: Int, _ reading: Reading, _ rules: DialRules) -> [MinecraftRoute] {
        var hosts: [String: Int] = [:]
        var names: [Endpoint: String] = [:]
        return reading.list(node, "minecraft").compactMap { element in
            var section = Section(element, path: "minecraft", reading: reading)
            var route = MinecraftRoute(host: "", backends: [])
            section.parsed("host", &route.host, "a host name, \"*.\" and a suffix, or \"*\"", host)
            section.word("kind", &route.kind)
            section.word("balance", &route.balance)
            section.word("proxy_protocol", &route.proxyProtocol)
            section.word("health", &route.health)
            section.integer("max", &route.maximumPlayers, 0...1_000_000)
            var offline = section.section("offline")
            offline.chatText("motd", &route.offlineMotd)
            offline.chatText("kick", &route.offlineKick)
            offline.finish()
            section.require(["host", "backends"], of: element)
            if let node = section.node("backends") { route.backends = readBackends(node, reading, rules) }
            section.finish()
            if !route.host.isEmpty, let first = hosts.updateValue(element, forKey: route.host) {
                let line = reading.document.line(first)
                reading.error(
                    section.node("host") ?? element,
                    "host \(quoted(route.host)) is given twice, first in line \(line); remove one")
            }
            if !route.host.isEmpty { warn(of: route, element, reading) }
            if !route.host.isEmpty, !route.host.hasPrefix("*") { warnOfSecondName(route, &names, element, reading) }
            return route
        }
    }

    private static func readBackends(
        _ node: Int, _ reading: Reading, _ rules: DialRules
    ) -> [MinecraftRoute.Backend] {
        let elements = reading.list(node, "minecraft.backends")
        if elements.isEmpty, reading.document.kind(node) == .sequence || reading.document.isNothing(node) {
            reading.error(node, "\"minecraft.backends\" is empty; name at least one { address: \"10.60.0.10:25565\" }")
        }
        var seen: Set<Endpoint> = []
        return elements.compactMap { element in
            var section = Section(element, path: "minecraft.backends", reading: reading)
            var endpoint: Endpoint?
            var weight = 1
            section.parsed("address", &endpoint, "an IP address and port such as \"10.60.0.10:25565\"") {
                Endpoint($0).map { $0 }
            }
            // 0 drains it: those who play stay, nobody new is sent there.
            section.integer("weight", &weight, 0...1000)
            section.require(["address"], of: element)
            section.finish()
            guard let endpoint, let place = section.node("address") else { return nil }
            if let refusal = rules.refusal(of: endpoint) { reading.error(place, "\(endpoint) \(refusal)") }
            if !seen.insert(endpoint).inserted {
                reading.error(place, "backend \(endpoint) is given twice; remove one, or raise the other's weight")
            }
            return .init(endpoint: endpoint, weight: weight)
        }
    }

    /// A host as it is looked up: lower-case, without a trailing dot.
    static func host(_ text: String) -> String? {
        var name = text.lowercased()
        if name == "*" { return name }
        if name.hasSuffix(".") { name.removeLast() }
        if IPAddress(name) != nil { return name }
        guard name.utf8.count <= 253 else { return nil }
        let labels = (name.hasPrefix("*.") ? name.dropFirst(2) : name[...])
            .utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let isName = labels.allSatisfy { label in
            (1...63).contains(label.count)
                && label.allSatisfy { $0.isDigit || (0x61...0x7a).contains($0) || "-_".utf8.contains($0) }
        }
        return isName ? name : nil
    }

    /// Two exact names for one server: what an SRV record makes of it, as the game then logs in by the record's target
    /// and asks for the status by the name that was typed.
    private static func warnOfSecondName(
        _ route: MinecraftRoute, _ names: inout [Endpoint: String], _ element: Int, _ reading: Reading
    ) {
        var isKnown = false
        for backend in route.backends {
            let first = names[backend.endpoint]
            if first == nil { names[backend.endpoint] = route.host }
            guard let first, first != route.host, !isKnown else { continue }
            isKnown = true
            reading.warning(
                element,
                "\(quoted(route.host)): \(backend.endpoint) is a backend of \(quoted(first)) too; players, \"max\" and "
                    + "balancing are counted apart, so prefer one name (with SRV records a login carries the target's)")
        }
    }

    private static func warn(of route: MinecraftRoute, _ element: Int, _ reading: Reading) {
        switch (route.kind, route.proxyProtocol) {
        case (.velocity, .none):
            reading.warning(
                element,
                "\(quoted(route.host)): without proxy_protocol Velocity sees every player at the gateway's address and "
                    + "lets one log in every 3 s; set it here, and haproxy-protocol = true in velocity.toml")
        case (.direct, .v1), (.direct, .v2):
            reading.warning(
                element,
                "\(quoted(route.host)): a game server must be told to expect proxy_protocol "
                    + "(Paper: proxies.proxy-protocol: true); a vanilla one cannot")
        default: break
        }
        if route.kind == .direct, route.backends.count > 1 {
            reading.warning(
                element, "\(quoted(route.host)): players of a direct route with several backends get different worlds")
        }
    }
}
