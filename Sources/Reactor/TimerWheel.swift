/// Deadlines by tick: arming is an append, moving a deadline later is nothing at all, and an idle source without a
/// deadline costs nothing. A source that comes up before its deadline (which moved) is put in again.
struct TimerWheel {
    /// Milliseconds a tick, as a shift: 64 ms.
    static let tickShift: UInt64 = 6
    private static let slots = 2048
    private static let mask = UInt64(slots - 1)

    private var wheel = [[EventToken]](repeating: [], count: slots)
    private var occupied = [UInt64](repeating: 0, count: slots / 64)
    /// The last tick whose sources were looked at.
    private(set) var current: UInt64

    init(nowMs: UInt64) {
        current = nowMs >> Self.tickShift
    }

    /// The tick at which a deadline comes up: never early, at most one tick late, and within the wheel.
    func tick(for deadlineMs: UInt64) -> UInt64 {
        let wanted = (deadlineMs >> Self.tickShift) &+ 1
        return min(max(wanted, current + 1), current + Self.mask)
    }

    mutating func insert(_ token: EventToken, at tick: UInt64) {
        let slot = Int(tick & Self.mask)
        wheel[slot].append(token)
        occupied[slot >> 6] |= 1 << UInt64(slot & 63)
    }

    /// The tokens of the next tick that is due at `nowMs`; `nil` when none is.
    mutating func next(nowMs: UInt64) -> (tick: UInt64, tokens: [EventToken])? {
        let due = nowMs >> Self.tickShift
        while current < due {
            guard let ahead = distanceToOccupied(), current + ahead <= due else {
                current = due
                return nil
            }
            current += ahead
            let slot = Int(current & Self.mask)
            let tokens = wheel[slot]
            wheel[slot] = []
            occupied[slot >> 6] &= ~(1 << UInt64(slot & 63))
            return (current, tokens)
        }
        return nil
    }

    /// Milliseconds until the next occupied tick, `nil` when the wheel is empty.
    func wait(nowMs: UInt64) -> UInt64? {
        guard let ahead = distanceToOccupied() else { return nil }
        let due = (current + ahead) << Self.tickShift
        return due > nowMs ? due - nowMs : 0
    }

    /// Ticks from `current` to the next occupied one, 1 ... slots.
    private func distanceToOccupied() -> UInt64? {
        let start = Int((current + 1) & Self.mask)
        var word = start >> 6
        var bits = occupied[word] & (~0 << UInt64(start & 63))
        for step in 0...occupied.count {
            if bits != 0 {
                let slot = word << 6 + bits.trailingZeroBitCount
                let distance = (UInt64(slot) &- UInt64(start)) & Self.mask
                return distance + 1
            }
            word = (word + 1) & (occupied.count - 1)
            bits = occupied[word]
            // Back at the first word: only the part before `start` is left.
            if step == occupied.count - 1 { bits &= ~(~0 << UInt64(start & 63)) }
        }
        return nil
    }
}
