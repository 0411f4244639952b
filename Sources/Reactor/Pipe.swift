import CLinux
import Glibc

/// A pipe through which bytes go from one socket to another without coming up into the process (splice(2)). Used by one
/// tunnel at a time; it goes back to its `PipePool` empty.
public final class Pipe {
    /// What is asked of the kernel; it may give less.
    private static let size = 256 * 1024
    private let readEnd: FileDescriptor
    private let writeEnd: FileDescriptor
    /// Bytes inside.
    public private(set) var count = 0

    /// A new pipe, `nil` when there are no descriptors for one.
    public init?() {
        var ends: (Int32, Int32) = (-1, -1)
        let status = unsafe withUnsafeMutablePointer(to: &ends) { pointer in
            unsafe pointer.withMemoryRebound(to: Int32.self, capacity: 2) { unsafe zlh_pipe($0, Int32(Self.size)) }
        }
        guard status == 0 else { return nil }
        readEnd = FileDescriptor(ends.0)
        writeEnd = FileDescriptor(ends.1)
    }

    /// Fills an empty pipe from a socket with at most `limit` bytes. 0 is the end; *would block* means that nothing has
    /// arrived.
    public func fill(from socket: borrowing FileDescriptor, atMost limit: Int = .max) -> IOResult {
        precondition(count == 0)
        let result = Self.move(socket.raw, writeEnd.raw, min(limit, Self.size))
        if case .moved(let moved) = result { count += moved }
        return result
    }

    /// Empties the pipe into a socket as far as that takes it.
    public func empty(into socket: borrowing FileDescriptor) -> IOResult {
        let result = Self.move(readEnd.raw, socket.raw, count)
        if case .moved(let moved) = result { count -= moved }
        return result
    }

    private static func move(_ from: Int32, _ to: Int32, _ count: Int) -> IOResult {
        while true {
            let moved = zlh_splice(from, to, count)
            if moved >= 0 { return .moved(moved) }
            switch Int32(-moved) {
            case EINTR: continue
            case EAGAIN: return .wouldBlock
            case let code: return .failed(SystemError(code))
            }
        }
    }
}

/// The pipes of one loop that no tunnel needs just now, and how many are out: what lies in a pipe whose reader lags is
/// the kernel's memory, so there are few, and the bytes of other tunnels are copied.
public struct PipePool {
    private static let keep = 8
    private static let most = 64
    private var free: [Pipe] = []
    private var lent = 0

    /// An empty pool.
    public init() {}

    /// A pipe, `nil` when there is none to be had.
    public mutating func take() -> Pipe? {
        guard lent < Self.most, let pipe = free.popLast() ?? Pipe() else { return nil }
        lent += 1
        return pipe
    }

    /// Takes a pipe back; one with bytes left in it is closed instead.
    public mutating func give(_ pipe: Pipe) {
        lent -= 1
        if pipe.count == 0, free.count < Self.keep { free.append(pipe) }
    }
}
