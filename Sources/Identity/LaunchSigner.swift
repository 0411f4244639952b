import Crypto
import Wire

/// Why a key cannot issue launch tokens, or a key file cannot be made; one line for a person.
public struct LaunchKeyError: Error, Sendable, Equatable, CustomStringConvertible {
    /// What is wrong and how to mend it.
    public let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// A key that issues launch tokens: what the API has and the edge has not, except for `zlh-edge token issue` and the
/// demo. Any thread.
public struct LaunchSigner: Sendable {
    private enum Material: Sendable {
        case key(PKey)
        case secret([UInt8])
    }

    /// The `kid` that tokens will name.
    public let keyID: String
    /// The key's algorithm.
    public let algorithm: Algorithm
    private let material: Material

    /// A private key from unencrypted PEM: Ed25519, P-256, or RSA of at least 2048 bits.
    public init(privateKeyPEM: [UInt8], keyID: String) throws(LaunchKeyError) {
        let key = try Self.read(privateKeyPEM)
        self.init(keyID: keyID, algorithm: key.algorithm, material: .key(key.key))
    }

    /// A private key from unencrypted PEM under the id that its public half has in `keys`.
    public init(privateKeyPEM: [UInt8], in keys: KeySet) throws(LaunchKeyError) {
        let key = try Self.read(privateKeyPEM)
        let match = keys.all.first {
            if case .asymmetric(let other) = $0.material { other.samePublicKey(as: key.key) } else { false }
        }
        guard let match else {
            throw LaunchKeyError("the JWKS does not list the public half of this key: tokens would be refused")
        }
        self.init(keyID: match.id, algorithm: match.algorithm, material: .key(key.key))
    }

    /// The secret (`oct`) of this id in `keys`.
    public init(secretNamed keyID: String, in keys: KeySet) throws(LaunchKeyError) {
        guard let key = keys.key(keyID) else { throw LaunchKeyError("the JWKS lists no key \"\(keyID)\"") }
        guard case .secret(let secret) = key.material else {
            throw LaunchKeyError("key \"\(keyID)\" is public: issuing needs the PEM of its private half")
        }
        self.init(keyID: keyID, algorithm: .hs256, material: .secret(secret))
    }

    /// A secret of at least 32 bytes, for HS256.
    public init(secret: [UInt8], keyID: String) throws(LaunchKeyError) {
        guard secret.count >= 32 else { throw LaunchKeyError("HS256 needs a secret of at least 32 bytes") }
        self.init(keyID: keyID, algorithm: .hs256, material: .secret(secret))
    }

    private init(keyID: String, algorithm: Algorithm, material: Material) {
        self.keyID = keyID
        self.algorithm = algorithm
        self.material = material
    }

    private static func read(_ pem: [UInt8]) throws(LaunchKeyError) -> (key: PKey, algorithm: Algorithm) {
        guard let key = PKey(privatePEM: pem) else { throw LaunchKeyError("not an unencrypted private key in PEM") }
        guard let algorithm = key.algorithm else {
            throw LaunchKeyError("neither Ed25519, nor P-256, nor RSA of at least 2048 bits")
        }
        return (key, algorithm)
    }

    /// A token that says `claims` to `audience`.
    public func sign(_ claims: LaunchClaims, audience: String) throws(LaunchKeyError) -> String {
        let header = JSONValue([
            ("alg", .string(algorithm.rawValue)), ("kid", .string(keyID)), ("typ", .string("JWT")),
        ])
        let payload = claims.payload(audience: audience)
        let message = Base64URL.encode(Array(header.text.utf8)) + "." + Base64URL.encode(Array(payload.text.utf8))
        guard let signature = signature(over: Array(message.utf8)) else {
            throw LaunchKeyError("the key cannot sign: is it a public key?")
        }
        let token = message + "." + Base64URL.encode(signature)
        guard token.utf8.count <= JWS.sizeAtMost else {
            throw LaunchKeyError("the token has \(token.utf8.count) bytes, more than \(JWS.sizeAtMost)")
        }
        return token
    }

    private func signature(over message: [UInt8]) -> [UInt8]? {
        switch (algorithm, material) {
        case (.hs256, .secret(let secret)): Digest.hmacSHA256(key: secret, message.span)
        case (.edDSA, .key(let key)), (.ed25519, .key(let key)): key.sign(message, sha256: false)
        case (.rs256, .key(let key)): key.sign(message, sha256: true)
        case (.es256, .key(let key)): key.sign(message, sha256: true).flatMap(ECDSASignature.raw)
        default: nil
        }
    }
}
