import TLS

/// What this program is.
public enum Version {
    /// The gateway's own version.
    public static let text = "0.1.0"
    /// The OpenSSL that runs.
    public static var openSSL: String { TLSLibrary.version }
}
