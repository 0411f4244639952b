import Limits
public import Routing
import Wire

/// A routes file that was taken.
public struct LoadedRoutes: Sendable {
    /// The new version.
    public let table: RouteTable
    /// What it changes against the former version, or against nothing.
    public let diff: RouteDiff
    /// What is odd in the file.
    public let warnings: [ConfigProblem]
}

/// `routes.yaml` or `routes.json`: taken whole, or refused whole with everything that is wrong with it.
public enum RoutesFile {
    /// Reads, validates and compares a routes file. Blocks on the disk and computes for a while: not for an event
    /// loop's thread. `force` takes a file that removes more routes than `limits.reload_removes`; `generation` becomes
    /// the table's number.
    public static func load(
        path: String, against config: EdgeConfig, previous: RouteTable?, force: Bool, generation: UInt64
    ) throws(ConfigProblems) -> LoadedRoutes {
        let source = try SourceFile.read(path)
        defer { FileContents.releaseMemory(after: source.bytes.count) }
        return try load(source, against: config, previous: previous, force: force, generation: generation)
    }

    static func load(
        _ source: SourceFile, against config: EdgeConfig, previous: RouteTable?, force: Bool, generation: UInt64
    ) throws(ConfigProblems) -> LoadedRoutes {
        let (content, problems) = try read(source, against: config)
        let table = RouteTable(
            ide: content.ide, minecraft: content.minecraft, revoked: content.revoked, generation: generation)
        let diff = RouteDiff.between(previous ?? .empty, table)
        if let previous, !force, let reason = removesTooMuch(diff, previous, config.limits.reloadRemoves) {
            problems.error(1, reason)
            problems.removesTooMuch = true
        }
        return LoadedRoutes(table: table, diff: diff, warnings: try problems.finish())
    }

    /// The revocations of a file that was refused: they take effect all the same as far as they can be read. Nil when
    /// nothing of them can.
    public static func revokedOnly(path: String) -> [RevocationRule]? {
        guard let source = try? SourceFile.read(path) else { return nil }
        defer { FileContents.releaseMemory(after: source.bytes.count) }
        return revokedOnly(source)
    }

    static func revokedOnly(_ source: SourceFile) -> [RevocationRule]? {
        let document = source.documentAsFarAsItGoes().document
        guard !document.nodes.isEmpty, document.kind(YAMLDocument.root) == .mapping else { return nil }
        let reading = Reading(document: document, problems: ProblemList(file: source.path))
        var list: Int?
        document.forEachPair(of: YAMLDocument.root) { key, value in
            if document.string(key) == "revoked", !document.unfinished.contains(value) { list = value }
        }
        return list.map { readRevoked($0, reading) }
    }

    /// What a file says, before it is compared with what was there.
    struct Content {
        var ide: [IDERoute] = []
        var minecraft: [MinecraftRoute] = []
        var revoked: [RevocationRule] = []
        /// Only a snapshot of ours has it.
        var generation: UInt64 = 0
    }

    /// Reads a file and refuses it unless every entry is valid. `isSnapshot` also takes what `LastGood` writes.
    static func read(
        _ source: SourceFile, against config: EdgeConfig, isSnapshot: Bool = false
    ) throws(ConfigProblems) -> (content: Content, problems: ProblemList) {
        let problems = ProblemList(file: source.path)
        let reading = Reading(document: try source.document(), problems: problems)
        let rules = config.dialRules
        var file = Section(YAMLDocument.root, path: "", reading: reading)
        var content = Content()
        if let node = file.node("ide") { content.ide = readIDE(node, reading, rules, config.ide.vmids) }
        if let node = file.node("minecraft") { content.minecraft = readMinecraft(node, reading, rules) }
        if let node = file.node("revoked") { content.revoked = readRevoked(node, reading) }
        if isSnapshot {
            file.parsed("generation", &content.generation, "a number") { UInt64($0) }
        }
        if !file.has("ide"), !file.has("minecraft") {
            problems.error(1, "neither \"ide\" nor \"minecraft\" is here; write \"ide: {}\" if there are no routes")
        }
        file.finish()
        guard problems.isEmpty else {
            _ = try problems.finish()
            return (Content(), problems)
        }
        return (content, problems)
    }

    /// A truncated or half-written file looks like a mass removal.
    private static func removesTooMuch(_ diff: RouteDiff, _ previous: RouteTable, _ share: Double) -> String? {
        let kinds = [
            ("IDE routes", diff.removed.count, previous.ideCount),
            ("Minecraft routes", diff.minecraftRemoved.count, previous.minecraft.count),
            (
                "routes", diff.removed.count + diff.minecraftRemoved.count,
                previous.ideCount + previous.minecraft.count
            ),
        ]
        for (name, removed, total) in kinds where total >= 20 && Double(removed) > Double(total) * share {
            return "it would remove \(removed) of \(total) \(name), more than limits.reload_removes "
                + "(\(Int((share * 100).rounded()))%) allows; if that is meant, use \"zlh-edge reload --force\""
        }
        return nil
    }
}

extension EdgeConfig {
    /// What a route may point to.
    public var dialRules: DialRules {
        let listeners = listen.https + listen.http + listen.minecraft + (listen.metrics.map { [$0] } ?? [])
        return DialRules(
            upstreams: upstreams, listeners: listeners.filter { $0.port != 0 }, localAddresses: LocalAddresses.now())
    }
}
