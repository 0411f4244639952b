import Crypto

/// A key of the set with its one algorithm: what decides how a token is checked, whatever the token says.
struct VerificationKey: Sendable {
    let id: String
    let algorithm: Algorithm
    let material: Material

    enum Material: Sendable {
        case asymmetric(PKey)
        case secret([UInt8])
    }

    /// Whether `signature` is this key's over `message`. Secrets are compared in constant time.
    func verifies(_ signature: [UInt8], over message: borrowing Span<UInt8>) -> Bool {
        switch (algorithm, material) {
        case (.edDSA, .asymmetric(let key)), (.ed25519, .asymmetric(let key)):
            return signature.count == 64 && key.verify(signature, over: message, sha256: false)
        case (.rs256, .asymmetric(let key)):
            return signature.count == (key.bits + 7) / 8 && key.verify(signature, over: message, sha256: true)
        case (.es256, .asymmetric(let key)):
            guard let der = ECDSASignature.der(fromRaw: signature) else { return false }
            return key.verify(der, over: message, sha256: true)
        case (.hs256, .secret(let secret)):
            let mac = Digest.hmacSHA256(key: secret, message)
            return equalInConstantTime(mac.span, signature.span)
        default:
            return false
        }
    }
}
