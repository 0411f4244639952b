import Wire

/// `session-keys.json` under `state`: `{"keys":[{"kid":…,"created":…,"key":…}]}`, oldest first, keys in base64url.
struct KeyRingFile: Sendable {
    /// Tells one version of the file from the next.
    struct Stamp: Sendable, Equatable {
        let inode: UInt64
        let modifiedNs: Int64
        let size: Int
    }

    let path: String

    /// Reads the file, writes what `change` makes of it (nil: nothing to change), and returns what it holds then; a file
    /// that is not there is taken to hold `whenMissing`. No two processes do this at once.
    func update(
        whenMissing: [KeyRing.Keys.Entry], _ change: ([KeyRing.Keys.Entry]) -> [KeyRing.Keys.Entry]?
    ) throws(StateError) -> ([KeyRing.Keys.Entry], Stamp) {
        let directory = try StateFile.directory(of: path)
        // Off the loops: the holder may be waiting for its disk.
        try directory.lock(attempts: 50_000)
        defer { directory.unlock() }
        let read = try read()
        let old = read ?? whenMissing
        let new = change(old) ?? (read == nil ? old : nil)
        if let new { try StateFile.replace(path, with: Array(Self.text(new).utf8)) }
        guard let stamp = try stamp() else { throw StateError(path: path, reason: "vanished") }
        return (new ?? old, stamp)
    }

    /// Tells the file from the one before it; nil when there is none.
    func stamp() throws(StateError) -> Stamp? {
        guard let status = try StateFile.status(path) else { return nil }
        return Stamp(inode: status.inode, modifiedNs: status.modifiedNs, size: status.size)
    }

    /// What the file holds; nil when there is none.
    func read() throws(StateError) -> [KeyRing.Keys.Entry]? {
        guard let bytes = try StateFile.read(path) else { return nil }
        guard let entries = Self.parse(bytes) else {
            throw StateError(
                path: path, reason: "damaged: restore it, or move it away, which ends all sessions, to start anew")
        }
        return entries
    }

    private static func text(_ entries: [KeyRing.Keys.Entry]) -> String {
        let keys = entries.map {
            JSONValue([
                ("kid", .string($0.id)), ("created", .integer($0.created)),
                ("key", .string(Base64URL.encode($0.secret))),
            ])
        }
        return JSONValue([("keys", .array(keys))]).text + "\n"
    }

    private static func parse(_ bytes: [UInt8]) -> [KeyRing.Keys.Entry]? {
        guard let document = try? StrictJSON.parse(bytes, membersAtMost: 10_000), let list = document["keys"]?.array,
            !list.isEmpty
        else { return nil }
        let entries = list.compactMap { element -> KeyRing.Keys.Entry? in
            guard let id = element["kid"]?.string, Base64URL.decode(id) != nil, (1...32).contains(id.utf8.count),
                let created = element["created"]?.integer, (0...1 << 40).contains(created),
                let secret = element["key"]?.string.flatMap(Base64URL.decode), secret.count == 32
            else { return nil }
            return .init(id: id, created: created, secret: secret)
        }
        return entries.count == list.count && Set(entries.map(\.id)).count == list.count ? entries : nil
    }
}
