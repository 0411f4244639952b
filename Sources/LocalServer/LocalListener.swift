import Glibc
import Reactor
import Wire

/// The listening socket of a `LocalServer`, TCP or unix.
struct LocalListener: ~Copyable, Sendable {
    /// The TCP port, 0 for a socket file.
    let port: UInt16
    private let descriptor: FileDescriptor
    private let file: SocketFile?
    private let isInherited: Bool

    init(_ address: LocalAddress) throws(LocalError) {
        if case .inherited = address { isInherited = true } else { isInherited = false }
        switch address {
        case .tcp(let endpoint):
            let (high, low) = (endpoint.address.high, endpoint.address.low)
            if let reason = Socket.whyTaken(high: high, low: low, port: endpoint.port) { throw .system(reason) }
            do {
                descriptor = try Socket.listen(high: high, low: low, port: endpoint.port, backlog: 512)
            } catch {
                throw .system(error)
            }
            port = Socket.localPort(of: descriptor)
            file = nil
        case .inherited(let socket):
            do {
                descriptor = try socket.duplicate()
            } catch {
                throw .system(error)
            }
            port = socket.port
            file = nil
        case .unix(let path):
            descriptor = try SocketFile.listen(at: path)
            file = SocketFile(path)
            port = 0
        }
    }

    /// Waits for the next connection; `nil` when `shutdown` was called. A shortage of descriptors is waited out.
    func accept() -> FileDescriptor? {
        while true {
            var item = pollfd(fd: descriptor.raw, events: Int16(POLLIN), revents: 0)
            let ready = unsafe poll(&item, 1, -1)
            if ready < 0 && errno == EINTR { continue }
            // A listening socket that was shut down reports a hang-up.
            guard ready > 0, item.revents & Int16(POLLHUP | POLLNVAL | POLLERR) == 0 else { return nil }
            let raw = Glibc.accept(descriptor.raw, nil, nil)
            if raw >= 0 {
                let accepted = FileDescriptor(raw)
                // Nothing but the demo's shell is ever executed, and that closes what it inherits.
                _ = fcntl(raw, F_SETFD, FD_CLOEXEC)
                _ = fcntl(raw, F_SETFL, O_NONBLOCK)
                return accepted
            }
            switch errno {
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: usleep(100_000)
            case EBADF, EINVAL, ENOTSOCK, EFAULT: return nil
            // The peer went before we came (accept(2), "Error handling"), or was taken from another thread.
            default: continue
            }
        }
    }

    /// Wakes `accept` for good and removes the socket file. Any thread. An inherited socket goes on: it is not ours to
    /// shut down, and its next connection wakes `accept`.
    func shutdown() {
        if !isInherited { _ = Glibc.shutdown(descriptor.raw, Int32(SHUT_RDWR)) }
        file?.remove()
    }
}

/// The name of a unix socket in the file system, and which inode we put there.
struct SocketFile: Sendable {
    private let path: String
    private let device: UInt64
    private let inode: UInt64

    /// Remembers what is there now.
    init(_ path: String) {
        let made = Self.status(of: path)
        self.path = path
        device = UInt64(made?.st_dev ?? 0)
        inode = UInt64(made?.st_ino ?? 0)
    }

    /// Listens at `path`. The file appears with mode 0600 and replaces what a dead process left, in one step, so that
    /// a successor can take the name over while we still serve.
    static func listen(at path: String) throws(LocalError) -> FileDescriptor {
        let raw = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue), 0)
        guard raw >= 0 else { throw .system(SystemError(errno)) }
        let descriptor = FileDescriptor(raw)
        // bind(2) makes the file with the socket's own mode, so there is no moment in which others can connect.
        guard fchmod(raw, 0o600) == 0 else { throw .system(SystemError(errno)) }
        if let existing = status(of: path), existing.st_mode & S_IFMT != S_IFSOCK {
            throw .system(SystemError(EEXIST))
        }
        let temporary = "\(path).\(getpid())"
        _ = unsafe unlink(temporary)
        try bind(raw, to: temporary)
        guard unsafe chmod(temporary, 0o600) == 0, Glibc.listen(raw, 64) == 0, unsafe rename(temporary, path) == 0
        else {
            let error = SystemError(errno)
            _ = unsafe unlink(temporary)
            throw .system(error)
        }
        return descriptor
    }

    /// Removes the file, unless a successor has put its own there.
    func remove() {
        guard let now = Self.status(of: path), UInt64(now.st_dev) == device, UInt64(now.st_ino) == inode else { return }
        _ = unsafe unlink(path)
    }

    private static func status(of path: String) -> stat? {
        var result = stat()
        return unsafe lstat(path, &result) == 0 ? result : nil
    }

    private static func bind(_ raw: Int32, to path: String) throws(LocalError) {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        // One byte stays for the final NUL (unix(7)).
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path), !bytes.contains(0) else {
            throw .system(SystemError(ENAMETOOLONG))
        }
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: bytes) }
        let length = socklen_t(MemoryLayout<sockaddr_un>.size)
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { unsafe Glibc.bind(raw, $0, length) }
        }
        guard status == 0 else { throw .system(SystemError(errno)) }
    }
}
