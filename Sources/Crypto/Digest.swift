internal import COpenSSL
public import Wire

/// Hashes by libcrypto. Any thread.
public enum Digest {
    /// The 20 bytes of SHA-1, which the WebSocket handshake asks for; good for nothing else.
    public static func sha1(_ bytes: borrowing Span<UInt8>) -> [UInt8] { hash(bytes, "SHA1", size: 20) }

    /// The 32 bytes of SHA-256.
    public static func sha256(_ bytes: borrowing Span<UInt8>) -> [UInt8] { hash(bytes, "SHA256", size: 32) }

    /// The 32 bytes of SHA-256.
    public static func sha256(_ bytes: [UInt8]) -> [UInt8] { sha256(bytes.span) }

    private static func hash(_ bytes: borrowing Span<UInt8>, _ name: String, size: Int) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: size)
        let done = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe EVP_Q_digest(nil, name, nil, source.baseAddress, source.count, &out, nil)
        }
        precondition(done == 1, "libcrypto has no \(name)")
        return out
    }

    /// HMAC-SHA-256 (RFC 7518 section 3.2).
    public static func hmacSHA256(key: [UInt8], _ bytes: borrowing Span<UInt8>) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: 32)
        let done = unsafe bytes.withUnsafeBufferPointer { source in
            unsafe HMAC(EVP_sha256(), key, Int32(key.count), source.baseAddress, source.count, &out, nil) != nil
        }
        precondition(done, "libcrypto has no HMAC-SHA-256")
        return out
    }

    /// Appends the `Sec-WebSocket-Accept` that answers `key` (RFC 6455 section 4.2.2).
    public static func webSocketAccept(key: borrowing Span<UInt8>, into out: inout ByteBuffer) {
        var text = ByteBuffer(capacity: key.count + 36)
        text.append(key)
        text.append(WebSocket.guid)
        let hash = text.withReadable { sha1($0) }
        Base64.encode(hash.span, into: &out)
    }
}
