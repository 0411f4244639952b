import Config
import HTTP2

/// Which nghttp2 runs, and whether it is known to carry the fixes of 2023 to 2026: rapid reset, CONTINUATION floods and
/// an assertion after the end of a session (CVE-2023-44487, CVE-2024-28182, CVE-2026-27135).
///
/// Upstream has them all from 1.68.1 on, Debian 12 in its 1.52.0-1+deb12u3. The library itself tells only upstream's
/// number, so the package's is read from dpkg's list.
public struct NGHTTP2Fixes: Sendable {
    /// Upstream's version, and the package's in brackets where there is one.
    public let version: String
    /// What to do about a library that may lack the fixes; `nil` for one that is known to have them.
    public let warning: String?

    /// The library of this process. Reads dpkg's list: blocks on the disk.
    public static func ofThisProcess() -> NGHTTP2Fixes {
        let status = (try? FileContents.read("/var/lib/dpkg/status", atMost: 64 << 20)) ?? []
        return NGHTTP2Fixes(upstream: HTTP2Library.version, package: packageVersion(in: status))
    }

    init(upstream: String, package: String?) {
        version = package.map { "\(upstream) (\($0))" } ?? upstream
        if Self.hasFixes(upstream, package) {
            warning = nil
        } else {
            warning =
                "nghttp2 \(version) may lack the fixes of CVE-2023-44487, CVE-2024-28182 and CVE-2026-27135; "
                + "use 1.68.1 or later, or Debian 12's 1.52.0-1+deb12u3 or later"
        }
    }

    private static func hasFixes(_ upstream: String, _ package: String?) -> Bool {
        let numbers = upstream.split(separator: ".").map { Int($0) ?? 0 }
        if !numbers.lexicographicallyPrecedes([1, 68, 1]) { return true }
        guard let package, let revision = package.split(separator: "+").last, revision.hasPrefix("deb12u") else {
            return false
        }
        return (Int(revision.dropFirst(6)) ?? 0) >= 3
    }

    /// The version of libnghttp2 in dpkg's list of packages: paragraphs of `Name: value` lines.
    static func packageVersion(in status: [UInt8]) -> String? {
        var isOurs = false
        for line in status.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
            if line.starts(with: "Package: ".utf8) {
                isOurs = line.starts(with: "Package: libnghttp2-14".utf8)
            } else if isOurs, line.starts(with: "Version: ".utf8) {
                return String(decoding: line.dropFirst(9), as: UTF8.self)
            }
        }
        return nil
    }
}
