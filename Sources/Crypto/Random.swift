internal import COpenSSL
internal import Wire

/// Randomness by libcrypto. Any thread.
public enum Random {
    /// Random bytes fit for keys, at most 1 MiB.
    public static func bytes(_ count: Int) -> [UInt8] {
        precondition(count >= 0 && count <= 1 << 20)
        var out = [UInt8](repeating: 0, count: count)
        // Going on without randomness would hand out guessable keys.
        precondition(unsafe RAND_bytes(&out, Int32(count)) == 1, "no randomness")
        return out
    }

    /// A fresh identifier, for a session or a key: 128 random bits in 22 characters of base64url.
    public static func id() -> String { Base64URL.encode(bytes(16)) }
}
