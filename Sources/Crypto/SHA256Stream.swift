internal import COpenSSL

/// SHA-256 of bytes that come piece by piece. For its owner's thread.
@safe
public struct SHA256Stream: ~Copyable {
    private let context: OpaquePointer

    /// The hash of nothing yet.
    public init() {
        guard let context = unsafe EVP_MD_CTX_new(), unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1 else {
            preconditionFailure("libcrypto has no SHA-256")
        }
        unsafe self.context = unsafe context
    }

    deinit {
        unsafe EVP_MD_CTX_free(context)
    }

    /// Takes more bytes.
    public mutating func update(_ bytes: borrowing Span<UInt8>) {
        let done = unsafe bytes.withUnsafeBufferPointer { unsafe EVP_DigestUpdate(context, $0.baseAddress, $0.count) }
        precondition(done == 1, "libcrypto cannot hash")
    }

    /// The 32 bytes of the digest of all that came.
    public consuming func finish() -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        precondition(unsafe EVP_DigestFinal_ex(context, &out, nil) == 1, "libcrypto cannot hash")
        return out
    }
}
