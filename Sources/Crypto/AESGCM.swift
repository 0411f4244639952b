internal import COpenSSL

/// AES-256-GCM with random nonces of 96 bits (NIST SP 800-38D): safe for 2^32 messages under one key, of which a
/// day's logins are a small part. Any thread.
@safe
public final class AESGCM: Sendable {
    private static let nonceCount = 12
    private static let tagCount = 16

    /// Fetched once: a fetch takes longer than sealing.
    private nonisolated(unsafe) let cipher: OpaquePointer

    /// The cipher, for any number of keys.
    public init() {
        guard let cipher = unsafe EVP_CIPHER_fetch(nil, "AES-256-GCM", nil) else {
            preconditionFailure("libcrypto has no AES-256-GCM")
        }
        unsafe self.cipher = unsafe cipher
    }

    deinit {
        unsafe EVP_CIPHER_free(cipher)
    }

    /// Nonce, ciphertext and tag.
    public func seal(_ plain: [UInt8], key: [UInt8], additional: borrowing Span<UInt8>) -> [UInt8] {
        precondition(key.count == 32)
        let nonce = Random.bytes(Self.nonceCount)
        var cipherText = [UInt8](repeating: 0, count: plain.count)
        var tag = [UInt8](repeating: 0, count: Self.tagCount)
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var count: Int32 = 0
        let done =
            unsafe EVP_EncryptInit_ex2(context, cipher, key, nonce, nil) == 1
            && authenticate(context, additional, EVP_EncryptUpdate)
            && EVP_EncryptUpdate(context, &cipherText, &count, plain, Int32(plain.count)) == 1
            && EVP_EncryptFinal_ex(context, &tag, &count) == 1 && zlh_gcm_get_tag(context, &tag) == 1
        precondition(done, "AES-256-GCM failed")
        return nonce + cipherText + tag
    }

    /// The plain text; nil unless `sealed` was made with this key and these additional bytes.
    public func open(_ sealed: [UInt8], key: [UInt8], additional: borrowing Span<UInt8>) -> [UInt8]? {
        let count = sealed.count - Self.nonceCount - Self.tagCount
        guard count >= 0, key.count == 32 else { return nil }
        let cipherText = Array(sealed[Self.nonceCount..<Self.nonceCount + count])
        var tag = Array(sealed[(Self.nonceCount + count)...])
        var plain = [UInt8](repeating: 0, count: count)
        var rest = [UInt8](repeating: 0, count: 16)
        let context = unsafe EVP_CIPHER_CTX_new()
        defer { unsafe EVP_CIPHER_CTX_free(context) }
        var written: Int32 = 0
        let genuine =
            unsafe EVP_DecryptInit_ex2(context, cipher, key, sealed, nil) == 1
            && authenticate(context, additional, EVP_DecryptUpdate)
            && EVP_DecryptUpdate(context, &plain, &written, cipherText, Int32(count)) == 1
            && zlh_gcm_set_tag(context, &tag) == 1 && EVP_DecryptFinal_ex(context, &rest, &written) == 1
        return genuine ? plain : nil
    }

    private typealias Update = (
        OpaquePointer?, UnsafeMutablePointer<UInt8>?, UnsafeMutablePointer<Int32>?, UnsafePointer<UInt8>?, Int32
    ) -> Int32

    private func authenticate(_ context: OpaquePointer?, _ bytes: borrowing Span<UInt8>, _ update: Update) -> Bool {
        var count: Int32 = 0
        return unsafe bytes.withUnsafeBufferPointer {
            unsafe $0.isEmpty || update(context, nil, &count, $0.baseAddress, Int32($0.count)) == 1
        }
    }
}
