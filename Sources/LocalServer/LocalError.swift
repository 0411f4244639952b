public import Reactor

/// Why a local connection could not go on.
public enum LocalError: Error, Sendable, Equatable {
    /// The peer went away, or the server stopped.
    case closed
    /// The peer moved no byte for too long.
    case timedOut
    /// The request breaks the protocol or a bound; `status` is the answer it gets.
    case refused(status: Int, reason: String)
    /// The WebSocket peer broke RFC 6455; the close code it gets.
    case webSocket(code: UInt16, reason: String)
    /// A handler answered one request twice, or wrote more than it had announced.
    case misused(String)
    /// The kernel refused a call.
    case system(SystemError)
}
