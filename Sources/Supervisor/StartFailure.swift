/// Why the gateway cannot start; one problem a line, each naming its file.
public struct StartFailure: Error, Sendable, CustomStringConvertible {
    /// The problems.
    public let description: String

    init(_ description: String) { self.description = description }
}
