/// Why the gateway cannot start; one problem a line, each naming its file.
public struct StartFailure: Error, Sendable, CustomStringConvertible {
    /// The problems.
    public let description: String

    init(_ description: String) { self.description = description }
}

/// An event loop ended by itself: a defect of ours or of the system, not of the configuration.
public struct LoopFailure: Error, Sendable, CustomStringConvertible {
    /// What it said.
    public let description: String
}
