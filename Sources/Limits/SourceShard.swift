import Wire

/// One part of the source table: a bounded set of sources with a hash index, and two lists that say whom to forget.
/// Every operation is O(1). Used under the shard's lock.
struct SourceShard: Sendable {
    var settings: SourceSettings
    var sources: [Source] = []
    /// The latest time seen, for what happens without one.
    private(set) var latestMs: Int64 = 0
    private let capacity: Int
    private var index: [Int32]
    private var idle = Line()
    private var blocked = Line()

    /// The two ends of a doubly linked list through `Source.previous` and `.next`: first out, last in.
    private struct Line {
        var first: Int32 = -1
        var last: Int32 = -1
    }

    init(_ settings: SourceSettings, capacity: Int) {
        self.settings = settings
        self.capacity = capacity
        var size = 1
        while size < capacity { size *= 2 }
        index = Array(repeating: -1, count: size)
    }

    /// Sources remembered.
    var count: Int { sources.count }

    var storageBytes: Int { sources.capacity * MemoryLayout<Source>.stride + index.count * MemoryLayout<Int32>.stride }

    /// The place of `prefix` if it is remembered.
    func find(_ prefix: IPAddress, _ hash: UInt32) -> Int? {
        var at = index[Int(hash) & (index.count - 1)]
        while at >= 0 {
            if sources[Int(at)].prefix == prefix { return Int(at) }
            at = sources[Int(at)].chained
        }
        return nil
    }

    /// The place of `prefix`, made if need be by forgetting another; nil when everybody here has open connections.
    mutating func findOrInsert(_ prefix: IPAddress, _ hash: UInt32, nowMs: Int64) -> Int? {
        if let found = find(prefix, hash) { return found }
        let bucket = Int(hash) & (index.count - 1)
        let at: Int
        if sources.count < capacity {
            at = sources.count
            if sources.capacity == at { sources.reserveCapacity(min(capacity, max(16, at * 2))) }
            sources.append(Source(prefix: prefix, hash: hash, chained: index[bucket]))
        } else {
            guard let freed = forgetOne(nowMs: nowMs) else { return nil }
            at = freed
            sources[at] = Source(prefix: prefix, hash: hash, chained: index[bucket])
        }
        index[bucket] = Int32(truncatingIfNeeded: at)
        append(at, .idle)
        return at
    }

    /// Whether a new source would find no place.
    var isFull: Bool { sources.count == capacity && idle.first < 0 && blocked.first < 0 }

    /// Puts a source, after a change, where it belongs: the end of its list, or in none while connections are open.
    /// A blocked one keeps its place, so that the line stays in the order in which blocks end.
    mutating func settle(_ at: Int, nowMs: Int64) {
        latestMs = max(latestMs, nowMs)
        let standing: Source.Standing =
            sources[at].hasOpen ? .open : sources[at].isBlocked(nowMs: latestMs) ? .blocked : .idle
        if standing != .idle, standing == sources[at].standing { return }
        remove(at)
        append(at, standing)
    }

    /// Takes the least missed source out: an idle one, else the one blocked longest.
    private mutating func forgetOne(nowMs: Int64) -> Int? {
        let oldestBlock = Int(blocked.first)
        if oldestBlock >= 0, !sources[oldestBlock].isBlocked(nowMs: nowMs) { return forget(oldestBlock) }
        if idle.first >= 0 { return forget(Int(idle.first)) }
        return oldestBlock >= 0 ? forget(oldestBlock) : nil
    }

    private mutating func forget(_ at: Int) -> Int {
        remove(at)
        let bucket = Int(sources[at].hash) & (index.count - 1)
        var link = index[bucket]
        if link == at {
            index[bucket] = sources[at].chained
        } else {
            while link >= 0, sources[Int(link)].chained != at { link = sources[Int(link)].chained }
            if link >= 0 { sources[Int(link)].chained = sources[at].chained }
        }
        return at
    }

    private mutating func append(_ at: Int, _ standing: Source.Standing) {
        sources[at].standing = standing
        switch standing {
        case .open: break
        case .idle: Self.append(at, &idle, &sources)
        case .blocked: Self.append(at, &blocked, &sources)
        }
    }

    private mutating func remove(_ at: Int) {
        switch sources[at].standing {
        case .open: break
        case .idle: Self.remove(at, &idle, &sources)
        case .blocked: Self.remove(at, &blocked, &sources)
        }
        sources[at].previous = -1
        sources[at].next = -1
    }

    private static func append(_ at: Int, _ line: inout Line, _ sources: inout [Source]) {
        let place = Int32(truncatingIfNeeded: at)
        sources[at].previous = line.last
        sources[at].next = -1
        if line.last >= 0 { sources[Int(line.last)].next = place } else { line.first = place }
        line.last = place
    }

    private static func remove(_ at: Int, _ line: inout Line, _ sources: inout [Source]) {
        let (previous, next) = (sources[at].previous, sources[at].next)
        if previous >= 0 { sources[Int(previous)].next = next } else { line.first = next }
        if next >= 0 { sources[Int(next)].previous = previous } else { line.last = previous }
    }
}
