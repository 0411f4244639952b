import Synchronization

/// A count that all threads change: open connections of the process, players on a route, refusals under way.
public final class AtomicCount: Sendable {
    private let count: Atomic<Int>

    /// A count that starts at `value`.
    public init(_ value: Int = 0) {
        count = Atomic(value)
    }

    /// The count now.
    public var value: Int { count.load(ordering: .relaxed) }

    /// Adds `amount` (negative to subtract) and returns the sum.
    @discardableResult
    public func add(_ amount: Int = 1) -> Int {
        count.wrappingAdd(amount, ordering: .relaxed).newValue
    }

    /// Subtracts one and returns the rest.
    @discardableResult
    public func remove() -> Int {
        count.wrappingSubtract(1, ordering: .relaxed).newValue
    }

    /// Adds one unless the count has reached `limit`; says whether it did.
    public func tryAdd(limit: Int) -> Bool {
        var seen = count.load(ordering: .relaxed)
        while seen < limit {
            let (exchanged, original) = count.weakCompareExchange(
                expected: seen, desired: seen &+ 1, ordering: .relaxed)
            if exchanged { return true }
            seen = original
        }
        return false
    }
}
