/// What is given up as memory fills (`limits.memory`).
public enum MemoryPressure: UInt8, Sendable, Comparable {
    /// Nothing.
    case normal
    /// From 80 %: no more request bodies are read.
    case noBodies
    /// From 90 %: nothing is accepted, and idle connections are closed.
    case noAccept
    /// From 95 %: the largest streams are reset.
    case shed

    /// Orders by severity.
    public static func < (one: Self, other: Self) -> Bool { one.rawValue < other.rawValue }
}

/// The bytes the process may hold, and what to do as it comes near. A value without state: the caller measures.
public struct MemoryBudget: Sendable, Equatable {
    /// The budget in bytes.
    public let bytes: Int

    /// A budget of `bytes`.
    public init(bytes: Int) {
        self.bytes = max(bytes, 1)
    }

    /// What must be given up when `used` bytes are held.
    public func pressure(used: Int) -> MemoryPressure {
        // By division, so that no product can overflow.
        let part = Double(max(used, 0)) / Double(bytes)
        return part >= 0.95 ? .shed : part >= 0.90 ? .noAccept : part >= 0.80 ? .noBodies : .normal
    }

    /// What `auto` means: 60 % of the smaller of the machine's memory and the cgroup's limit; of 512 MiB if neither
    /// can be read.
    public static func automatic(machine: Int?, cgroup: Int?) -> MemoryBudget {
        let total = [machine, cgroup].compactMap(\.self).filter { $0 > 0 }.min() ?? 512 << 20
        return MemoryBudget(bytes: total / 10 * 6)
    }
}

/// What `limits.connections: auto` means: half of the descriptors that `rlimit` (RLIMIT_NOFILE) allows, less 256 for
/// everything else, since every request or tunnel has two; 1 at least.
public func descriptorBudget(_ rlimit: Int) -> Int {
    max((rlimit - 256) / 2, 1)
}
