/// The places for client connections that all listeners of the process share (`limits.connections`, `limits.memory`).
/// Any thread may call it.
public protocol ConnectionPlaces: Sendable {
    /// Why no more connection may be accepted now; nil when one may.
    var shortage: PlaceShortage? { get }
    /// A connection was accepted.
    func take()
    /// It was closed.
    func giveBack()
    /// A listener of this loop has somebody to accept and found no place: one is looked for. The listener looks once more
    /// after the call.
    func want(loop: Int)
    /// A connection that stalls holds so many bytes.
    func noteStalled(_ bytes: Int)
}

/// What there is too little of.
public enum PlaceShortage: Sendable {
    case connections, memory
}
