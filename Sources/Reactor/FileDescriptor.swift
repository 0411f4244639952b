import Glibc

/// An open descriptor, closed when its owner lets go of it.
public struct FileDescriptor: ~Copyable, Sendable {
    /// The kernel's number; for the system-call wall and for libraries that do their own calls.
    public let raw: Int32

    /// Takes ownership of an open descriptor.
    public init(_ raw: Int32) {
        precondition(raw >= 0)
        self.raw = raw
    }

    deinit {
        // EINTR leaves the descriptor closed on Linux; there is nothing to retry.
        _ = Glibc.close(raw)
    }
}

/// The kernel's reason for refusing a call.
public struct SystemError: Error, Sendable, Equatable, CustomStringConvertible {
    /// `errno`.
    public let code: Int32

    /// Wraps an `errno` value.
    public init(_ code: Int32) { self.code = code }

    /// The kernel's words.
    public var description: String { unsafe String(cString: strerror(code)) }

    /// The kernel's code for a connect that nobody answered.
    public static let timedOut = ETIMEDOUT

    /// Neither the process nor the system has a descriptor left.
    public var isOutOfDescriptors: Bool { code == EMFILE || code == ENFILE || code == ENOBUFS || code == ENOMEM }
}
