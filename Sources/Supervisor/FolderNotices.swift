import CLinux
import Glibc
import Reactor

/// What inotify tells of the folders in which watched files are, and of those in which they are behind their links: that
/// it is time to look, and which file somebody writes just now. All that decides is what `FileWatch` sees for itself.
final class FolderNotices {
    private let inotify: FileDescriptor
    private var folders: [Int32: String] = [:]
    private var troubled: Set<String> = []
    /// Where the watched files are behind their links.
    private var targets: [String: String] = [:]
    /// Written to since they were last closed.
    private var written: Set<String> = []

    private static let mask = UInt32(
        IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_ONLYDIR)

    init() throws(SystemError) {
        let raw = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard raw >= 0 else { throw SystemError(errno) }
        inotify = FileDescriptor(raw)
    }

    /// Follows the folders of these files, as they are now, and no others; what is new in the way of that.
    func follow(_ files: some Sequence<String>) -> [String] {
        var followed: [Int32: String] = [:]
        var problems: [String] = []
        targets = [:]
        for file in files {
            let target = Self.resolved(file) ?? file
            targets[file] = target
            for folder in Set([file, target].map(Self.folder)) {
                // The same folder gets the same number again.
                let watch = unsafe inotify_add_watch(inotify.raw, folder, Self.mask)
                if watch >= 0 {
                    followed[watch] = folder
                } else if errno != ENOENT && errno != ENOTDIR && troubled.insert(folder).inserted {
                    problems.append(
                        "\(folder) cannot be watched (\(SystemError(errno))): changes of its files are noticed within a second or two instead of at once"
                    )
                }
            }
        }
        for watch in folders.keys where followed[watch] == nil { _ = inotify_rm_watch(inotify.raw, watch) }
        folders = followed
        return problems
    }

    /// Waits until something happens in a folder, at most so long; whether it did.
    func wait(ms: UInt64) -> Bool {
        var entry = pollfd(fd: inotify.raw, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, Int32(clamping: ms)) > 0
    }

    /// Whether somebody has written to the file and not closed it yet.
    func isBeingWritten(_ file: String) -> Bool {
        written.contains(file) || targets[file].map(written.contains) ?? false
    }

    /// Takes what has happened.
    func take() {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        // Somebody may cause events as fast as they are read.
        for _ in 0..<64 {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(inotify.raw, $0.baseAddress, $0.count) }
            guard count > 0 else { return }
            note(buffer[0..<count])
        }
    }

    /// `struct inotify_event`: watch, mask, cookie, length of the name that follows (inotify(7)).
    private func note(_ bytes: ArraySlice<UInt8>) {
        var at = bytes.startIndex
        while at + 16 <= bytes.endIndex {
            let watch = Int32(bitPattern: word(bytes, at))
            let mask = word(bytes, at + 4)
            let length = Int(word(bytes, at + 12))
            guard at + 16 + length <= bytes.endIndex else { return }
            let name = String(decoding: bytes[(at + 16)..<(at + 16 + length)].prefix { $0 != 0 }, as: UTF8.self)
            at += 16 + length
            if mask & UInt32(IN_Q_OVERFLOW) != 0 { written = [] }
            guard let folder = folders[watch] else { continue }
            let path = folder == "/" ? "/\(name)" : "\(folder)/\(name)"
            if mask & UInt32(IN_MODIFY) != 0 {
                if targets.contains(where: { $0 == path || $1 == path }) { written.insert(path) }
            } else if mask & UInt32(IN_ATTRIB) == 0 {
                // Closed, or no longer the file that was being written.
                written.remove(path)
            }
        }
    }

    private func word(_ bytes: ArraySlice<UInt8>, _ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }

    /// Where a file is behind all links; `nil` while there is none.
    private static func resolved(_ path: String) -> String? {
        guard let found = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    private static func folder(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
