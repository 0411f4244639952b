internal import COpenSSL

/// One asymmetric key of libcrypto, public or private. It never changes after it was made, and libcrypto allows any
/// number of threads to verify or sign with it.
@safe
public final class PKey: Sendable {
    /// The owned reference, freed by `deinit`.
    private nonisolated(unsafe) let key: OpaquePointer

    /// Takes ownership.
    private init?(owning key: OpaquePointer?) {
        guard let key = unsafe key else {
            ERR_clear_error()
            return nil
        }
        unsafe self.key = unsafe key
    }

    deinit {
        unsafe EVP_PKEY_free(key)
    }

    /// An Ed25519 public key from its 32 bytes.
    public convenience init?(ed25519 bytes: [UInt8]) {
        guard bytes.count == 32 else { return nil }
        let key = unsafe bytes.withUnsafeBufferPointer {
            unsafe EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, $0.baseAddress, $0.count)
        }
        unsafe self.init(owning: key)
    }

    /// A P-256 public key from its coordinates; nil unless they are a point of the curve.
    public convenience init?(p256X x: [UInt8], y: [UInt8]) {
        guard x.count == 32, y.count == 32 else { return nil }
        unsafe self.init(owning: zlh_p256_public_key([4] + x + y))
    }

    /// An RSA public key from modulus and exponent, most significant byte first.
    public convenience init?(rsaModulus modulus: [UInt8], exponent: [UInt8]) {
        guard modulus.count <= 1024, exponent.count <= 8 else { return nil }
        unsafe self.init(
            owning: zlh_rsa_public_key(modulus, Int32(modulus.count), exponent, Int32(exponent.count)))
    }

    /// A private key from unencrypted PEM.
    public convenience init?(privatePEM pem: [UInt8]) {
        guard pem.count <= 1 << 16 else { return nil }
        let key = unsafe pem.withUnsafeBufferPointer {
            unsafe zlh_private_key_from_pem($0.baseAddress, Int32($0.count))
        }
        unsafe self.init(owning: key)
    }

    /// A new Ed25519 private key.
    public static func generateEd25519() -> PKey? {
        unsafe PKey(owning: zlh_generate_ed25519())
    }
}

// MARK: - What a key can do

extension PKey {
    /// Bits of an RSA modulus or a curve.
    public var bits: Int { Int(unsafe EVP_PKEY_get_bits(key)) }

    /// The kinds of keys that the program has a use for.
    public enum Kind: Sendable, Equatable {
        /// Ed25519 (RFC 8032).
        case ed25519
        /// A key on the curve P-256.
        case p256
        /// RSA; `bits` tells the length of its modulus.
        case rsa
    }

    /// What kind of key this is; nil for one of no use here.
    public var kind: Kind? {
        if unsafe EVP_PKEY_is_a(key, "ED25519") == 1 { return .ed25519 }
        if unsafe EVP_PKEY_is_a(key, "RSA") == 1 { return .rsa }
        guard unsafe EVP_PKEY_is_a(key, "EC") == 1 else { return nil }
        var name = [CChar](repeating: 0, count: 32)
        let count = name.count
        guard unsafe EVP_PKEY_get_group_name(key, &name, count, nil) == 1 else { return nil }
        let group = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return group == "prime256v1" || group == "P-256" ? .p256 : nil
    }

    /// Whether the public halves are the same.
    public func samePublicKey(as other: PKey) -> Bool {
        unsafe EVP_PKEY_eq(key, other.key) == 1
    }

    /// The 32 public bytes of an Ed25519 key.
    public var ed25519PublicBytes: [UInt8]? {
        var out = [UInt8](repeating: 0, count: 32)
        var count = 32
        guard unsafe EVP_PKEY_get_raw_public_key(key, &out, &count) == 1, count == 32 else { return nil }
        return out
    }

    /// The unencrypted PKCS#8 PEM of a private key.
    public var privatePEM: [UInt8]? {
        var out = [UInt8](repeating: 0, count: 1 << 14)
        let count = unsafe out.withUnsafeMutableBufferPointer {
            unsafe zlh_private_key_to_pem(key, $0.baseAddress, Int32($0.count))
        }
        return count > 0 ? Array(out.prefix(Int(count))) : nil
    }

    /// Whether `signature`, in libcrypto's own form, is this key's over `message`.
    public func verify(_ signature: [UInt8], over message: borrowing Span<UInt8>, sha256: Bool) -> Bool {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        let digest: String? = sha256 ? "SHA256" : nil
        guard unsafe EVP_DigestVerifyInit_ex(context, nil, digest, nil, nil, key, nil) == 1 else {
            ERR_clear_error()
            return false
        }
        let result = unsafe message.withUnsafeBufferPointer { message in
            unsafe signature.withUnsafeBufferPointer { signature in
                unsafe EVP_DigestVerify(
                    context, signature.baseAddress, signature.count, message.baseAddress, message.count)
            }
        }
        // A bad signature leaves its reasons in this thread's queue, where a TLS connection would find them.
        if result != 1 { ERR_clear_error() }
        return result == 1
    }

    /// This private key's signature over `message`, in libcrypto's own form.
    public func sign(_ message: [UInt8], sha256: Bool) -> [UInt8]? {
        let context = unsafe EVP_MD_CTX_new()
        defer { unsafe EVP_MD_CTX_free(context) }
        let digest: String? = sha256 ? "SHA256" : nil
        var out = [UInt8](repeating: 0, count: 2048)
        var count = out.count
        guard unsafe EVP_DigestSignInit_ex(context, nil, digest, nil, nil, key, nil) == 1,
            unsafe EVP_DigestSign(context, &out, &count, message, message.count) == 1
        else {
            ERR_clear_error()
            return nil
        }
        return Array(out.prefix(count))
    }
}
