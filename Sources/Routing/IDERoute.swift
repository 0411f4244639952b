public import Wire

/// Where the IDE of one container listens.
public struct IDERoute: Sendable, Equatable {
    /// The container's number, as in `dev-<vmid>`.
    public var vmid: UInt32
    /// What is dialled.
    public var endpoint: Endpoint
    /// An opaque id that changes when the vmid is re-created.
    public var generation: String
    /// Whether another vmid claims the same address and port; both then answer 503 `route_conflict`, for nobody can
    /// tell which of the two is right.
    public var isConflicted: Bool

    /// A route; conflicts are found by the table that holds it.
    public init(vmid: UInt32, endpoint: Endpoint, generation: String, isConflicted: Bool = false) {
        self.vmid = vmid
        self.endpoint = endpoint
        self.generation = generation
        self.isConflicted = isConflicted
    }
}
