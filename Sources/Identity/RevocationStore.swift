/// The revocations that `zlh-edge revoke` made, in `state`, each kept until the longest session it can concern has
/// ended. Adding one waits for the disk: not on an event loop. Any thread.
public final class RevocationStore: Sendable {
    private let table: ExpiringTable

    /// Opens the list in `directory`, or makes it.
    public static func open(directory: String?, now: Moment) throws(StateError) -> RevocationStore {
        RevocationStore(
            try ExpiringTable(
                directory: directory, name: "revocations", beginning: now.epoch, now: now,
                traits: .init(tellsNews: true)))
    }

    private init(_ table: ExpiringTable) {
        self.table = table
    }

    /// Adds a rule until `keepUntil`: now plus `ide.session.absolute`. It is in force, and in `rules`, even when this
    /// throws because the disk did not take it.
    public func add(_ rule: Revocations.Rule, keepUntil: Int64, now: Moment) throws(StateError) {
        table.insert(rule.key, value: "", expires: keepUntil, now: now)
        try table.sync()
    }

    /// The rules in force, in no order.
    public var rules: [Revocations.Rule] { table.keys.compactMap { Revocations.Rule(key: $0) } }

    /// Picks up what another process added. Cheap: call it several times a second.
    /// - Returns: whether there was something.
    public func readOthers(now: Moment) -> Bool {
        table.readOthers(now: now)
        return !table.takeNews().isEmpty
    }

    /// Drops what has passed, and picks up what another process sharing the directory added. Waits for the disk.
    /// - Returns: whether `rules` changed.
    @discardableResult
    public func sweep(now: Moment) -> Bool {
        let old = Set(table.keys)
        table.sweep(now: now)
        return Set(table.keys) != old
    }

    /// Why the file does not hold all that memory does; nil when all is well.
    public var failure: StateError? { table.failure }
}

extension Revocations.Rule {
    /// One line of text that says the same: kind, `before` or `-`, and the name.
    fileprivate var key: String {
        let text = { (before: Int64?) in before.map(String.init) ?? "-" }
        return switch self {
        case .session(let id): "session - \(id)"
        case .user(let name, let before): "user \(text(before)) \(name)"
        case .vmid(let vmid, let before): "vmid \(text(before)) \(vmid)"
        }
    }

    fileprivate init?(key: String) {
        let words = key.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
        guard words.count == 3 else { return nil }
        let before = Int64(words[1])
        guard before != nil || words[1] == "-" else { return nil }
        switch words[0] {
        case "session": self = .session(String(words[2]))
        case "user": self = .user(String(words[2]), before: before)
        case "vmid":
            guard let vmid = UInt32(words[2]) else { return nil }
            self = .vmid(vmid, before: before)
        default: return nil
        }
    }
}
