public import Limits
import Synchronization

extension GatewayShared: ConnectionPlaces {
    /// Why no listener may accept now.
    public var shortage: PlaceShortage? {
        if memoryPressure >= .noAccept { return .memory }
        return connections.load(ordering: .relaxed) < connectionLimit.load(ordering: .relaxed) ? nil : .connections
    }

    /// Counts a connection of another front.
    public func take() { connections.add(1, ordering: .relaxed) }

    /// Forgets it.
    public func giveBack() { connections.subtract(1, ordering: .relaxed) }
}
