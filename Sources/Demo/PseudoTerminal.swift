import CLinux
import Glibc
import Reactor
import Synchronization

/// A shell behind a pseudo-terminal. One thread reads its output; any thread may write, resize and end it.
final class PseudoTerminal: Sendable {
    private let master: FileDescriptor
    private let wakeUp: FileDescriptor
    private let process: pid_t
    private let ended = Mutex(false)

    /// Starts a shell in the user's home. Its environment is made new, so that nothing of ours leaks into it.
    init(columns: UInt16, rows: UInt16) throws(SystemError) {
        let event = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        guard event >= 0 else { throw SystemError(errno) }
        wakeUp = FileDescriptor(event)
        var child: pid_t = 0
        let result = Self.spawn(columns, rows, &child)
        guard result >= 0 else { throw SystemError(-result) }
        master = FileDescriptor(result)
        process = child
    }

    /// Waits for output; empty when the shell has ended or `end` was called.
    func read() -> [UInt8] {
        var block = [UInt8](repeating: 0, count: 32 * 1024)
        while true {
            let count = unsafe Glibc.read(master.raw, &block, block.count)
            if count > 0 { return Array(block[..<count]) }
            // EIO: nobody holds the other side any more (tty_ioctl(4)).
            guard count < 0, errno == EAGAIN || errno == EINTR, waitFor(POLLIN) else { return [] }
        }
    }

    /// Types `bytes`; waits while the terminal's queue is full. What a program does not take within five seconds is
    /// lost, because whoever types must also notice that the other side has gone.
    func write(_ bytes: [UInt8]) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBufferPointer { unsafe Glibc.write(master.raw, $0.baseAddress, $0.count) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if count == 0 || (errno != EAGAIN && errno != EINTR) || !waitFor(POLLOUT, timeoutMs: 5000) {
                return
            }
        }
    }

    /// Tells the programs in the terminal its new size.
    func resize(columns: UInt16, rows: UInt16) {
        _ = zlh_pty_resize(master.raw, columns, rows)
    }

    /// Makes `read` and `write` return. Any thread.
    func interrupt() {
        _ = eventfd_write(wakeUp.raw, 1)
    }

    /// Hangs up, as a closed terminal does; what still runs half a second later is killed. Returns when it is gone.
    func end() {
        interrupt()
        ended.withLock { ended in
            guard !ended else { return }
            ended = true
            zlh_pty_signal(master.raw, process, SIGHUP)
            for attempt in 0..<200 where zlh_pty_reap(process) == 0 {
                if attempt == 50 { zlh_pty_signal(master.raw, process, SIGKILL) }
                usleep(10_000)
            }
        }
    }

    private func waitFor(_ events: Int32, timeoutMs: Int32 = -1) -> Bool {
        var items = [
            pollfd(fd: wakeUp.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: master.raw, events: Int16(truncatingIfNeeded: events), revents: 0),
        ]
        while true {
            let ready = unsafe poll(&items, 2, timeoutMs)
            if ready < 0 && errno == EINTR { continue }
            return ready > 0 && items[0].revents == 0
        }
    }

    private static func spawn(_ columns: UInt16, _ rows: UInt16, _ child: inout pid_t) -> Int32 {
        let bash = "/bin/bash"
        let hasBash = unsafe access(bash, X_OK) == 0
        let path = hasBash ? bash : "/bin/sh"
        let arguments = hasBash ? [bash, "--noprofile", "--norc", "-i"] : [path, "-i"]
        let (name, home) = user()
        let environment = [
            "TERM=xterm-256color", "LANG=C.UTF-8", "PATH=/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin",
            "HOME=\(home)", "USER=\(name)", "LOGNAME=\(name)", "SHELL=\(path)", "HISTFILE=",
            hasBash ? #"PS1=\[\e[1;32m\]demo\[\e[0m\]:\[\e[1;34m\]\w\[\e[0m\]\$ "# : "PS1=demo$ ",
        ]
        var argumentList = CStringList(arguments)
        var environmentList = CStringList(environment)
        return unsafe zlh_pty_spawn(
            path, &argumentList.pointers, &environmentList.pointers, home, columns, rows, &child)
    }
}

extension PseudoTerminal {
    /// Our user's name and home.
    private static func user() -> (name: String, home: String) {
        var entry = unsafe passwd()
        var found: UnsafeMutablePointer<passwd>?
        var text = [CChar](repeating: 0, count: 4096)
        guard unsafe getpwuid_r(geteuid(), &entry, &text, text.count, &found) == 0, unsafe found != nil else {
            return ("demo", "/")
        }
        return unsafe (String(cString: entry.pw_name), String(cString: entry.pw_dir))
    }
}

/// A NULL-ended list of C strings, freed with its owner.
@safe
private struct CStringList: ~Copyable {
    var pointers: [UnsafeMutablePointer<CChar>?]

    init(_ strings: [String]) {
        unsafe pointers = unsafe strings.map { unsafe strdup($0) } + [nil]
    }

    deinit {
        unsafe pointers.forEach { unsafe free($0) }
    }
}
