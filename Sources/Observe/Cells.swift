import Synchronization

/// A fixed row of 64-bit counters. Any thread may read; what `bump` and `set` change belongs to one writing thread.
@safe
final class Cells: @unchecked Sendable {
    private let base: UnsafeMutablePointer<Atomic<UInt64>>
    let count: Int

    init(count: Int) {
        self.count = count
        unsafe base = .allocate(capacity: count)
        for at in 0..<count { unsafe (base + at).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe base.deinitialize(count: count)
        unsafe base.deallocate()
    }

    /// The value of a cell.
    subscript(_ at: Int) -> UInt64 {
        precondition(at >= 0 && at < count)
        return unsafe base[at].load(ordering: .relaxed)
    }

    /// Adds without a locked instruction: only for the cell's one writer.
    @inline(__always)
    func bump(_ at: Int, by amount: UInt64 = 1) {
        precondition(at >= 0 && at < count)
        let value = unsafe base[at].load(ordering: .relaxed)
        unsafe base[at].store(value &+ amount, ordering: .relaxed)
    }

    /// Adds from any thread.
    func add(_ at: Int, by amount: UInt64 = 1) {
        precondition(at >= 0 && at < count)
        unsafe base[at].wrappingAdd(amount, ordering: .relaxed)
    }

    /// Replaces a value.
    func set(_ at: Int, _ value: UInt64) {
        precondition(at >= 0 && at < count)
        unsafe base[at].store(value, ordering: .relaxed)
    }
}
