internal import COpenSSL
public import Wire

/// Hashes, randomness and comparison, by libcrypto. All may be called on any thread.
public enum Crypto {
    /// The 20 bytes of SHA-1, which the WebSocket handshake asks for; good for nothing else.
    public static func sha1(_ bytes: borrowing Span<UInt8>) -> [UInt8] {
        unsafe digest(bytes, size: 20) { source, count, out in unsafe SHA1(source, count, out) }
    }

    /// The 32 bytes of SHA-256.
    public static func sha256(_ bytes: borrowing Span<UInt8>) -> [UInt8] {
        unsafe digest(bytes, size: 32) { source, count, out in unsafe SHA256(source, count, out) }
    }

    /// The 32 bytes of SHA-256.
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] { sha256(bytes.span) }

    private static func digest(
        _ bytes: borrowing Span<UInt8>, size: Int,
        _ compute: (UnsafePointer<UInt8>?, Int, UnsafeMutablePointer<UInt8>?) -> UnsafeMutablePointer<UInt8>?
    ) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        let done = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe out.withUnsafeMutableBufferPointer { target in
                unsafe compute(source.baseAddress, source.count, target.baseAddress) != nil
            }
        }
        precondition(done, "libcrypto has no digest of \(size) bytes")
        return out
    }

    /// Random bytes fit for keys.
    public static func randomBytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0 && count <= 1 << 20)
        var out = [UInt8](repeating: 0, count: count)
        let done = unsafe out.withUnsafeMutableBufferPointer { unsafe RAND_bytes($0.baseAddress, Int32($0.count)) }
        // Going on without randomness would hand out guessable keys.
        precondition(done == 1, "no randomness")
        return out
    }

    /// A fresh identifier, for a session or a key: 128 random bits in 22 characters of base64url.
    public static func randomID() -> String { Base64URL.encode(randomBytes(16)) }

    /// Whether both hold the same bytes, in a time that depends on their lengths alone.
    public static func constantTimeEquals(_ left: borrowing Span<UInt8>, _ right: borrowing Span<UInt8>) -> Bool {
        let count = left.count
        guard count == right.count else { return false }
        if count == 0 { return true }
        return unsafe left.withUnsafeBufferPointer { left in
            unsafe right.withUnsafeBufferPointer { right in
                unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, count) == 0
            }
        }
    }

    /// Appends the `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2).
    public static func webSocketAccept(key: borrowing Span<UInt8>, into out: inout ByteBuffer) {
        var text = ByteBuffer(capacity: key.count + 36)
        text.append(key)
        text.append("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        let hash = text.withReadable { sha1($0) }
        Base64.encode(hash.span, into: &out)
    }

    /// HMAC-SHA-256 (RFC 7518 section 3.2).
    static func hmacSHA256(key: [UInt8], _ bytes: borrowing Span<UInt8>) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        let done = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe key.withUnsafeBufferPointer { key in
                unsafe out.withUnsafeMutableBufferPointer { target in
                    unsafe HMAC(
                        EVP_sha256(), key.baseAddress, Int32(key.count), source.baseAddress, source.count,
                        target.baseAddress, nil) != nil
                }
            }
        }
        precondition(done, "libcrypto has no HMAC-SHA-256")
        return out
    }
}
