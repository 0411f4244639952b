import CLinux
import Glibc
import Reactor

/// Watches files by their directories, so that editors' and deployers' rename-and-replace is seen. Only finished files
/// count: closed after writing, or moved in place. A file behind symbolic links is watched where it is and where the
/// configuration says it is; a link that is replaced there counts as a change of what may lie behind it.
final class FileWatch: EventSource {
    private let inotify: FileDescriptor
    private let loop: EventLoop
    private var directories: [Int32: String] = [:]
    /// What is to be watched, and to which of these each place where one of them is belongs.
    private var files: [String] = []
    private var places: [String: String] = [:]
    private var changed: Set<String> = []
    private let report: (Set<String>) -> Void
    private static let debounceMs: UInt64 = 100

    /// Calls `report` with the paths that changed, 100 ms after the last change of a burst.
    init(on loop: EventLoop, report: @escaping (Set<String>) -> Void) throws(SystemError) {
        let raw = inotify_init1(Int32(IN_NONBLOCK) | Int32(IN_CLOEXEC))
        guard raw >= 0 else { throw SystemError(errno) }
        inotify = FileDescriptor(raw)
        self.loop = loop
        self.report = report
        super.init()
        try loop.register(self, inotify)
    }

    /// Watches these files from now on, and no others.
    func watch(_ paths: [String]) {
        files = paths
        places = [:]
        for path in paths {
            places[path] = path
            if let target = Self.resolved(path) { places[target] = path }
        }
        let wanted = Set(places.keys.map(Self.directory))
        for (watch, directory) in directories where !wanted.contains(directory) {
            _ = inotify_rm_watch(inotify.raw, watch)
            directories[watch] = nil
        }
        for directory in wanted where !directories.values.contains(directory) {
            let mask = UInt32(IN_CLOSE_WRITE) | UInt32(IN_MOVED_TO) | UInt32(IN_ONLYDIR)
            let watch = unsafe inotify_add_watch(inotify.raw, directory, mask)
            if watch >= 0 { directories[watch] = directory }
        }
    }

    /// Watches again what was lost: a directory that was removed and made anew, or that did not exist before. What lies
    /// in it counts as changed. Called every second or so.
    func watchLost() {
        let lost = Set(places.keys.map(Self.directory)).subtracting(directories.values)
        guard !lost.isEmpty else { return }
        watch(files)
        let found = lost.intersection(directories.values)
        guard !found.isEmpty else { return }
        for (place, path) in places where found.contains(Self.directory(place)) { changed.insert(path) }
        loop.setDeadline(loop.nowMs + Self.debounceMs, for: self)
    }

    override func ready(_ events: Readiness) {
        var buffer = [UInt8](repeating: 0, count: 16 * 1024)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(inotify.raw, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            note(buffer[0..<count])
        }
        if !changed.isEmpty { loop.setDeadline(loop.nowMs + Self.debounceMs, for: self) }
    }

    override func expired() {
        let paths = changed
        changed = []
        // A link may lead elsewhere now.
        watch(files)
        if !paths.isEmpty { report(paths) }
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
            if mask & UInt32(IN_IGNORED) != 0 { directories[watch] = nil }
            if mask & UInt32(IN_Q_OVERFLOW) != 0 {
                changed.formUnion(files)
            } else if let directory = directories[watch] {
                let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
                if let file = places[path] { changed.insert(file) }
                // A mounted volume swaps one link (`..data`) under all of its files at once.
                if Self.isLink(path) { changed.formUnion(files.filter { Self.directory($0) == directory }) }
            }
        }
    }

    private func word(_ bytes: ArraySlice<UInt8>, _ at: Int) -> UInt32 {
        UInt32(bytes[at]) | UInt32(bytes[at + 1]) << 8 | UInt32(bytes[at + 2]) << 16 | UInt32(bytes[at + 3]) << 24
    }

    private static func isLink(_ path: String) -> Bool {
        var status = stat()
        return unsafe lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFLNK
    }

    /// Where a file is behind all links; `nil` while there is none.
    private static func resolved(_ path: String) -> String? {
        guard let found = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(found) }
        return unsafe String(cString: found)
    }

    private static func directory(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
