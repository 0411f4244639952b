public import Routing
import Wire

/// The routes that were last taken, kept in the state folder so that a start does not depend on the routes file.
public enum LastGood {
    /// The file in the state folder.
    public static let fileName = "routes.last-good.json"

    /// Writes the table, atomically and readable by us alone. Blocks on the disk.
    public static func save(_ table: RouteTable, state: String) throws(FileFailure) {
        let bytes = Array(text(of: table).utf8)
        defer { FileContents.releaseMemory(after: bytes.count) }
        try FileContents.write("\(state)/\(fileName)", bytes)
    }

    /// The table that was saved, if there is one and it is still valid under `config`.
    public static func load(state: String, against config: EdgeConfig) -> RouteTable? {
        guard let source = try? SourceFile.read("\(state)/\(fileName)") else { return nil }
        defer { FileContents.releaseMemory(after: source.bytes.count) }
        guard let (content, _) = try? RoutesFile.read(source, against: config, isSnapshot: true) else { return nil }
        return RouteTable(
            ide: content.ide, minecraft: content.minecraft, revoked: content.revoked, generation: content.generation)
    }

    /// A routes file that reads back as the same table.
    static func text(of table: RouteTable) -> String {
        var text = "{\n\"generation\": \(table.generation),\n\"ide\": {"
        text.reserveCapacity(256 + table.ideCount * 96)
        var separator = "\n"
        for route in table.ide {
            let endpoint = route.endpoint
            text += "\(separator)\"\(route.vmid)\": {\"address\": \"\(endpoint.address)\", \"port\": \(endpoint.port), "
            text += "\"generation\": \(JSONText.quoted(route.generation))}"
            separator = ",\n"
        }
        text += "\n},\n\"minecraft\": [\(table.minecraft.map(minecraft).joined(separator: ",\n"))],\n"
        text += "\"revoked\": [\(table.revoked.map(revoked).joined(separator: ",\n"))]\n}\n"
        return text
    }

    private static func minecraft(_ route: MinecraftRoute) -> String {
        let backends = route.backends.map { "{\"address\": \"\($0.endpoint)\", \"weight\": \($0.weight)}" }
        let offline = [("motd", route.offlineMotd), ("kick", route.offlineKick)].compactMap { name, text in
            text.map { "\"\(name)\": \(chat($0))" }
        }
        return "{\"host\": \(JSONText.quoted(route.host)), \"kind\": \"\(route.kind.rawValue)\", "
            + "\"backends\": [\(backends.joined(separator: ", "))], \"balance\": \"\(route.balance.rawValue)\", "
            + "\"proxy_protocol\": \"\(route.proxyProtocol.rawValue)\", \"max\": \(route.maximumPlayers), "
            + "\"health\": \"\(route.health.rawValue)\", "
            + "\"offline\": {\(offline.joined(separator: ", "))}}"
    }

    private static func chat(_ text: ChatText) -> String {
        switch text {
        case .plain(let text): JSONText.quoted(text)
        case .component(let json): json
        }
    }

    private static func revoked(_ rule: RevocationRule) -> String {
        let before = { (time: Int64?) in time.map { ", \"before\": \($0)" } ?? "" }
        return switch rule {
        case .session(let id): "{\"session\": \(JSONText.quoted(id))}"
        case .user(let name, let time): "{\"user\": \(JSONText.quoted(name))\(before(time))}"
        case .vmid(let vmid, let time): "{\"vmid\": \(vmid)\(before(time))}"
        }
    }
}
