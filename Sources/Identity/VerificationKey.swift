internal import COpenSSL

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
            let mac = Crypto.hmacSHA256(key: secret, message)
            return Crypto.constantTimeEquals(mac.span, signature.span)
        default:
            return false
        }
    }
}

/// The two spellings of an ECDSA P-256 signature: 64 bytes r||s in JOSE (RFC 7518 section 3.4), DER in libcrypto.
enum ECDSASignature {
    /// Nil unless it is 64 bytes with neither half zero: a check that forgets zero accepts it under any key.
    static func der(fromRaw raw: [UInt8]) -> [UInt8]? {
        guard raw.count == 64, raw[..<32].contains(where: { $0 != 0 }), raw[32...].contains(where: { $0 != 0 }) else {
            return nil
        }
        var der = [UInt8](repeating: 0, count: 80)
        let count = unsafe zlh_ecdsa_p256_to_der(raw, &der)
        return count > 0 ? Array(der.prefix(Int(count))) : nil
    }

    static func raw(fromDER der: [UInt8]) -> [UInt8]? {
        var raw = [UInt8](repeating: 0, count: 64)
        return unsafe zlh_ecdsa_der_to_p256(der, der.count, &raw) == 1 ? raw : nil
    }
}
