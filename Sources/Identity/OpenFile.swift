internal import Glibc

/// An open file descriptor, closed when dropped. The only place of this target that makes system calls on files.
struct OpenFile: ~Copyable {
    struct Failure: Error {
        let path: String
        let doing: String
        let code: Int32

        var isMissing: Bool { code == ENOENT }

        var state: StateError {
            let reason = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
            return StateError(path: path, reason: "\(doing): \(reason)")
        }
    }

    struct Status {
        let device: UInt64
        let inode: UInt64
        let links: Int
        let size: Int
        /// Permission bits only.
        let mode: UInt32
        let isRegular: Bool
        let modifiedNs: Int64
    }

    /// Flags to read a file and to write at its end.
    static let appending = O_RDWR | O_APPEND

    let path: String
    private let descriptor: Int32

    /// Opens `path`, by default not through a symbolic link in its last part; `mode` is that of a new file.
    init(
        _ path: String, _ flags: Int32, mode: UInt32 = 0o600, followingLinks: Bool = false
    ) throws(Failure) {
        let flags = flags | O_CLOEXEC | O_NONBLOCK | (followingLinks ? 0 : O_NOFOLLOW)
        descriptor = unsafe open(path, flags, mode)
        self.path = path
        if descriptor < 0 { throw Failure(path: path, doing: "cannot be opened", code: errno) }
    }

    deinit {
        if descriptor >= 0 { close(descriptor) }
    }

    private func failure(_ doing: String) -> StateError {
        Failure(path: path, doing: doing, code: errno).state
    }

    func status() throws(StateError) -> Status {
        var it = stat()
        guard unsafe fstat(descriptor, &it) == 0 else { throw failure("cannot be examined") }
        return Status(
            device: UInt64(it.st_dev), inode: UInt64(it.st_ino), links: Int(it.st_nlink), size: Int(it.st_size),
            mode: UInt32(it.st_mode) & 0o7777, isRegular: it.st_mode & S_IFMT == S_IFREG,
            modifiedNs: Int64(it.st_mtim.tv_sec) &* 1_000_000_000 &+ Int64(it.st_mtim.tv_nsec))
    }

    /// Up to `count` bytes from `offset`; fewer only when the file ends.
    func read(from offset: Int, count: Int) throws(StateError) -> [UInt8] {
        var out = [UInt8](repeating: 0, count: count)
        var done = 0
        while done < count {
            let got = unsafe out.withUnsafeMutableBytes {
                unsafe pread(descriptor, $0.baseAddress.unsafelyUnwrapped + done, count - done, off_t(offset + done))
            }
            if got < 0 && errno == EINTR { continue }
            guard got >= 0 else { throw failure("cannot be read") }
            if got == 0 { break }
            done += got
        }
        out.removeLast(count - done)
        return out
    }

    /// Writes all of `bytes` at the end (the file was opened with `O_APPEND`).
    func append(_ bytes: [UInt8]) throws(StateError) {
        var done = 0
        while done < bytes.count {
            let put = unsafe bytes.withUnsafeBytes {
                unsafe write(descriptor, $0.baseAddress.unsafelyUnwrapped + done, bytes.count - done)
            }
            if put < 0 && errno == EINTR { continue }
            guard put > 0 else { throw failure("cannot be written") }
            done += put
        }
    }

    func truncate(to size: Int) throws(StateError) {
        guard ftruncate(descriptor, off_t(size)) == 0 else { throw failure("cannot be truncated") }
    }

    /// Waits until the disk has it.
    func sync() throws(StateError) {
        guard fsync(descriptor) == 0 else { throw failure("cannot be synced") }
    }

    /// Takes the advisory lock that shuts out other openings of the file, trying so many times, 0.1 ms apart.
    func lock(attempts: Int) throws(StateError) {
        for _ in 0..<attempts {
            if flock(descriptor, LOCK_EX | LOCK_NB) == 0 { return }
            if errno != EWOULDBLOCK && errno != EINTR { break }
            usleep(100)
        }
        throw failure("cannot be locked")
    }

    func unlock() {
        flock(descriptor, LOCK_UN)
    }
}
