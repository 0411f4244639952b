import Config
import Glibc

/// What tells one content of a path from the next: which file is there, behind all links, and when it last changed. Any
/// way of replacing a file changes it: a new file has another number, and every change of an old one its `ctime`.
struct FileState: Equatable, Sendable {
    private var device: UInt64 = 0
    private var inode: UInt64 = 0
    private var size: Int64 = 0
    private var modifiedNs: Int64 = 0
    private var changedNs: Int64 = 0
    /// Why there is nothing to be seen, 0 when there is.
    private(set) var failure: Int32 = 0

    /// Looks now. Blocks for as long as the file system does.
    init(of path: String) {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else {
            failure = errno
            return
        }
        device = UInt64(status.st_dev)
        inode = UInt64(status.st_ino)
        size = Int64(status.st_size)
        modifiedNs = Self.nanoseconds(status.st_mtim)
        changedNs = Self.nanoseconds(status.st_ctim)
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}

extension EdgeConfig {
    /// The files beside this one that are read again whenever they change.
    var watchedPaths: Set<String> {
        Set([routesPath, ide.launch.keysPath] + tls.certificates.flatMap { [$0.certificate, $0.key] })
    }

    /// Those files as they are now: to be asked *before* they are read, so that no change is missed.
    func fileStates() -> [String: FileState] {
        Dictionary(uniqueKeysWithValues: watchedPaths.map { ($0, FileState(of: $0)) })
    }
}
