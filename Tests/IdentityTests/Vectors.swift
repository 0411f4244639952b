import Crypto
import FoundationEssentials

@testable import Identity

/// `Vectors/vectors.json`: tokens and key sets made by other implementations.
struct Vectors: Decodable, Sendable {
    struct Case: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let token: String
        let vmid: UInt32
        let expect: String

        var description: String { name }
    }

    struct BadSet: Decodable, Sendable, CustomStringConvertible {
        let name: String
        let jwks: String
        let reason: String

        var description: String { name }
    }

    let now: Int64
    let jwks: String
    let privateJWKS: String
    let pem: [String: String]
    let tamper: [String]
    let cases: [Case]
    let badSets: [BadSet]

    static let all: Vectors = {
        let path = #filePath.replacing("Vectors.swift", with: "Vectors/vectors.json")
        let data = try! Data(contentsOf: URL(filePath: path))
        return try! JSONDecoder().decode(Vectors.self, from: data)
    }()

    static let verifier = LaunchVerifier(
        keys: try! KeySet(jwks: Array(all.jwks.utf8)),
        policy: LaunchPolicy(issuer: "zlh-api", audience: "zlh-edge", lifetimeAtMost: 300, skew: 30))
}

extension LaunchVerifier {
    /// The label of the refusal, or `ok`.
    func result(_ token: String, vmid: UInt32 = 1101, now: Int64 = Vectors.all.now) -> String {
        switch verify(Array(token.utf8).span, vmid: vmid, now: now) {
        case .success: "ok"
        case .failure(let refusal): "\(refusal.metric)"
        }
    }
}

extension VerificationKey {
    func verifies(_ signature: [UInt8], over message: [UInt8]) -> Bool { verifies(signature, over: message.span) }
}

/// A directory of its own for a test, removed afterwards.
func withDirectory<R>(_ body: (String) throws -> R) throws -> R {
    let path = FileManager.default.temporaryDirectory.path + "/zlh-identity-" + Random.id()
    try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try body(path)
}

/// The instant at which both clocks tell the same story.
func moment(_ epoch: Int64) -> Moment { Moment(epoch: epoch, steady: epoch - 1_799_000_000) }

func contents(_ path: String) throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

func write(_ bytes: [UInt8], _ path: String) throws {
    try Data(bytes).write(to: URL(filePath: path))
    try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
}

func mode(_ path: String) throws -> Int {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int ?? -1
}

/// A small generator with a seed, so that a failure can be repeated (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

/// `bytes` with a few random changes: flips, insertions, deletions, repeats.
func mutated(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var out = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) {
        if out.isEmpty { out = [0x7b] }
        let at = Int.random(in: 0..<out.count, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: out[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
        case 1: out.insert(UInt8.random(in: 0...255, using: &random), at: at)
        case 2: out.remove(at: at)
        case 3: out.insert(contentsOf: out[at..<min(at + 9, out.count)], at: at)
        case 4: out[at] = Array("{}[]\",:.\\u0019-eE_ ".utf8).randomElement(using: &random)!
        default: out.removeSubrange(at..<min(at + 5, out.count))
        }
    }
    return out
}
