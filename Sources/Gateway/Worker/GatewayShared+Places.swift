public import Limits
import Synchronization

extension GatewayShared: ConnectionPlaces {
    /// Why no listener may accept now.
    public var shortage: PlaceShortage? {
        if memoryPressure >= .noAccept { return .memory }
        // Ordered with `giveBack`: whoever finds none after `want` is told of the next one.
        let open = connections.load(ordering: .sequentiallyConsistent)
        return open < connectionLimit.load(ordering: .relaxed) ? nil : .connections
    }

    /// Counts a connection.
    public func take() { connections.add(1, ordering: .relaxed) }

    /// Forgets it, and tells the listeners that wait for a place.
    public func giveBack() {
        connections.subtract(1, ordering: .sequentiallyConsistent)
        rooms.placeFreed()
    }

    /// Counts a tunnel, or an answer that lasts. There are no more of them than connections, and one source has half at
    /// most, so that nobody takes all descriptors by way of HTTP/2's streams.
    func takeStream(_ ticket: SourceTable.Ticket) -> Bool {
        if streams.add(1, ordering: .relaxed).newValue <= connectionLimit.load(ordering: .relaxed),
            sources.takeStream(ticket)
        {
            return true
        }
        streams.subtract(1, ordering: .relaxed)
        return false
    }

    /// Forgets it.
    func giveBackStream(_ ticket: SourceTable.Ticket) {
        streams.subtract(1, ordering: .relaxed)
        sources.endStream(ticket)
    }

    /// Looks for a place on behalf of a listener of this loop, which is told by `LoopGuest.roomFreed`.
    public func want(loop: Int) { rooms.want(loop: loop) }

    /// Something that stalls on some loop holds so many bytes.
    public func noteStalled(_ bytes: Int) { largestStalled.max(bytes, ordering: .relaxed) }

    /// The most that was noted since the last call.
    public func takeLargestStalled() -> Int { largestStalled.exchange(0, ordering: .relaxed) }
}
