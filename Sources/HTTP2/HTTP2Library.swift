import CNGHTTP2

/// The library behind this target.
public enum HTTP2Library {
    /// nghttp2's own version that runs, such as `1.52.0`. What a distribution has mended in it does not show.
    public static var version: String {
        guard let info = unsafe nghttp2_version(0), let text = unsafe info.pointee.version_str else { return "unknown" }
        return unsafe String(cString: text)
    }
}
