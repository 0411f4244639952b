import Crypto

/// The signature algorithms of launch tokens. A key has exactly one; a token's header can only repeat it.
public enum Algorithm: String, Sendable, CaseIterable {
    /// Ed25519 (RFC 8037).
    case edDSA = "EdDSA"
    /// Ed25519 under its own name (RFC 9864), for keys that say so.
    case ed25519 = "Ed25519"
    /// ECDSA with P-256 and SHA-256.
    case es256 = "ES256"
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    case rs256 = "RS256"
    /// HMAC with SHA-256: whoever can check can also issue.
    case hs256 = "HS256"
}

extension PKey {
    /// The algorithm this key signs with; nil for kinds that launch tokens do not use.
    var algorithm: Algorithm? {
        switch kind {
        case .ed25519: .edDSA
        case .p256: .es256
        case .rsa: bits >= 2048 ? .rs256 : nil
        case nil: nil
        }
    }
}
