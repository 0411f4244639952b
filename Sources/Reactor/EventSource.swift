/// What the kernel reported for a descriptor (edge-triggered: once per change).
public struct Readiness: OptionSet, Sendable {
    /// The kernel's `EPOLL*` bits.
    public let rawValue: UInt32

    /// Wraps the kernel's `EPOLL*` bits.
    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Bytes, a connection or an end can be read.
    public static let readable = Readiness(rawValue: 0x001)
    /// Writing may go on.
    public static let writable = Readiness(rawValue: 0x004)
    /// The connection is broken; reading or writing says how.
    public static let error = Readiness(rawValue: 0x008)
    /// Both directions are closed.
    public static let hangup = Readiness(rawValue: 0x010)
    /// The peer sent FIN.
    public static let peerClosed = Readiness(rawValue: 0x2000)
}

/// Something that an event loop wakes: a listener, a connection, a mailbox.
///
/// An ordinary class that lives on its loop's thread; the loop keeps it alive from `register` to `deregister`.
open class EventSource {
    /// Slot and generation in the loop, so that an event for a closed descriptor never reaches its successor.
    final var token = EventToken.none
    /// When `expired` is due, in the loop's milliseconds; moving it later costs one store.
    final var deadlineMs = UInt64.max
    /// The wheel tick that holds this source, 0 when none does.
    final var armedTick: UInt64 = 0
    /// Whether the loop already has it on the list of those to run again.
    final var isDeferred = false
    /// Where it stands in the `SourceList` it is in, -1 when in none.
    final var listIndex = -1

    /// A source that no loop knows yet.
    public init() {}

    /// Whether a loop delivers events to this source.
    public final var isRegistered: Bool { token != .none }

    /// The descriptor's state changed.
    open func ready(_ events: Readiness) {}

    /// The deadline passed. It is cleared before this is called.
    open func expired() {}

    /// The turn that `runAgain` asked for: more work was left than one turn should do.
    open func resumed() {}
}

/// A slot of a loop's table and the slot's generation, as epoll carries them.
struct EventToken: Equatable, Sendable {
    let rawValue: UInt64

    static let none = EventToken(rawValue: .max)

    init(rawValue: UInt64) { self.rawValue = rawValue }

    init(slot: Int, generation: UInt32) {
        rawValue = UInt64(generation) << 32 | UInt64(UInt32(truncatingIfNeeded: slot))
    }

    var slot: Int { Int(UInt32(truncatingIfNeeded: rawValue)) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: rawValue >> 32) }
}
