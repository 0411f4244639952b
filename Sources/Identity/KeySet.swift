/// Why a JWKS file cannot be used: which key, and what is wrong with it.
public struct KeySetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The key's place in `keys`, from 0; nil when the document itself is wrong.
    public let index: Int?
    /// The key's id, when it has one.
    public let keyID: String?
    /// What is wrong and how to mend it, in one line, without key material.
    public let reason: String

    /// One line for a person.
    public var description: String {
        guard let index else { return reason }
        return "key \(index)" + (keyID.map { " (kid \"\($0)\")" } ?? "") + ": " + reason
    }
}

/// The keys that launch tokens may be signed with, from a JWKS document (RFC 7517). Immutable; any thread.
public final class KeySet: Sendable {
    private let keys: [String: VerificationKey]
    /// The ids of all keys, in the order of the file.
    public let keyIDs: [String]
    /// What an operator should know although the set can be used; one line each.
    public let warnings: [String]

    /// A set without keys: every token is refused.
    public init() {
        keys = [:]
        keyIDs = []
        warnings = []
    }

    /// Reads a JWKS document. Keys that cannot be used are skipped with a warning (RFC 7517 section 5): whoever publishes
    /// the file may have keys for other purposes in it, and a new good key must not wait for a bad one to be mended.
    /// Refused is only a document that is no JWKS, and one that lists keys of which none can be used.
    public init(jwks: [UInt8]) throws(KeySetError) {
        let document = try Self.document(jwks)
        var keys: [String: VerificationKey] = [:]
        var ids: [String] = []
        var warnings: [String] = []
        var skipped: KeySetError?
        for (index, jwk) in document.enumerated() {
            do throws(KeySetError) {
                let key = try JWKReader(index: index, jwk: jwk).key(&warnings)
                guard keys[key.id] == nil else {
                    throw KeySetError(index: index, keyID: key.id, reason: "another key has the same kid")
                }
                keys[key.id] = key
                ids.append(key.id)
            } catch {
                skipped = skipped ?? error
                warnings.append("skipped \(error)")
            }
        }
        if ids.isEmpty {
            if let skipped { throw skipped }
            // Whoever lists none withdraws them all.
            warnings.append("there is no key: every launch will be refused")
        }
        self.keys = keys
        self.keyIDs = ids
        self.warnings = warnings
    }

    /// Reads a JWKS file; a failure's text begins with its path. Waits for the disk.
    public static func load(path: String) throws(LaunchKeyError) -> KeySet {
        let bytes = try LaunchKeys.read(path)
        do {
            return try KeySet(jwks: bytes)
        } catch {
            throw LaunchKeyError("\(path): \(error)")
        }
    }

    /// The algorithm of the key with this id.
    public func algorithm(of keyID: String) -> Algorithm? { keys[keyID]?.algorithm }

    /// The key with this id.
    func key(_ id: String) -> VerificationKey? { keys[id] }

    /// All keys, in the order of the file.
    var all: [VerificationKey] { keyIDs.compactMap { keys[$0] } }

    private static func document(_ bytes: [UInt8]) throws(KeySetError) -> [JSONValue] {
        func refuse(_ reason: String) -> KeySetError { KeySetError(index: nil, keyID: nil, reason: reason) }
        guard bytes.count <= 1 << 20 else { throw refuse("larger than 1 MiB") }
        let document: JSONValue
        // Editors of some systems begin a file with a byte order mark.
        let bytes = bytes.starts(with: [0xef, 0xbb, 0xbf]) ? Array(bytes[3...]) : bytes
        do {
            document = try StrictJSON.parse(bytes, depthAtMost: 8, membersAtMost: 10_000)
        } catch .notUTF8 {
            throw refuse("not UTF-8")
        } catch .syntax(let offset) {
            throw refuse("not JSON: unexpected byte at line \(line(of: offset, in: bytes))")
        } catch .duplicateMember(let name) {
            throw refuse("member \"\(name)\" is there twice in one object")
        } catch {
            throw refuse("nested too deeply or too large to be a JWKS")
        }
        guard let keys = document["keys"]?.array else {
            throw refuse("no \"keys\" array: a JWKS is {\"keys\": [...]} even when it holds one key")
        }
        return keys
    }

    private static func line(of offset: Int, in bytes: [UInt8]) -> Int {
        1 + bytes.prefix(offset).count { $0 == UInt8(ascii: "\n") }
    }
}
