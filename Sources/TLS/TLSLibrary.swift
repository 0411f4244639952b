import COpenSSL

/// The library behind this target.
public enum TLSLibrary {
    /// The version that runs, which may be newer than the one built against.
    public static var version: String { unsafe String(cString: OpenSSL_version(OPENSSL_VERSION)) }
}
