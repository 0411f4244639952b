internal import COpenSSL

/// The two spellings of an ECDSA P-256 signature: 64 bytes r||s in JOSE (RFC 7518 section 3.4), DER in libcrypto.
public enum ECDSASignature {
    /// Nil unless it is 64 bytes with neither half zero: a check that forgets zero accepts it under any key.
    public static func der(fromRaw raw: [UInt8]) -> [UInt8]? {
        guard raw.count == 64, raw[..<32].contains(where: { $0 != 0 }), raw[32...].contains(where: { $0 != 0 }) else {
            return nil
        }
        var der = [UInt8](repeating: 0, count: 80)
        let count = unsafe zlh_ecdsa_p256_to_der(raw, &der)
        return count > 0 ? Array(der.prefix(Int(count))) : nil
    }

    /// The 64 bytes of a DER signature; nil when it is none of P-256.
    public static func raw(fromDER der: [UInt8]) -> [UInt8]? {
        var raw = [UInt8](repeating: 0, count: 64)
        return unsafe zlh_ecdsa_der_to_p256(der, der.count, &raw) == 1 ? raw : nil
    }
}
