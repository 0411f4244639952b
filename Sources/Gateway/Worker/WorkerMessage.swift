public import Limits
public import TLS

/// What other threads tell a loop. Values only.
public enum WorkerMessage: Sendable {
    /// Serve by this version from now on, and end what it no longer allows.
    case adopt(GatewaySnapshot)
    /// Offer these certificates from the next handshake on.
    case certificates([Certificate], TLSSettings, TicketKeys)
    /// Seal tickets with these keys.
    case tickets(TicketKeys)
    /// Some sessions ended: close what is open on them.
    case sessionsEnded
    /// A request to this vmid ended while requests of other loops wait for its place.
    case placeFreed(UInt32)
    /// Memory is short: give back what is kept for later, and close what has to go.
    case memoryShort(MemoryShed)
    /// Say which connections are idle, the oldest first.
    case nameIdle(round: UInt64)
    /// Close idle connections, the oldest first.
    case closeIdle(notAfterMs: UInt64, atMost: Int)
    /// There is a place again for who waits to be accepted.
    case roomFreed
    /// Memory is no longer short: go on with the bodies that were not read.
    case memoryEased
    /// Accept no more, finish what runs, spread the closing of tunnels over so many milliseconds.
    case drain(overMs: Int)
    /// Close everything now.
    case stop
}
