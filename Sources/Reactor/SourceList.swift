/// Open sources of one loop, in no particular order: one more or one less costs the same however many there are. A
/// source is in one list at most.
public struct SourceList<Source: EventSource> {
    /// All of them.
    public private(set) var all: [Source] = []

    /// An empty list.
    public init() {}

    /// Adds a source that is in no list.
    public mutating func add(_ source: Source) {
        source.listIndex = all.count
        all.append(source)
    }

    /// Removes a source; false when it is not here, so that who leaves twice is counted once.
    public mutating func remove(_ source: Source) -> Bool {
        let index = source.listIndex
        guard index >= 0 else { return false }
        source.listIndex = -1
        let last = all.removeLast()
        if last !== source {
            all[index] = last
            last.listIndex = index
        }
        return true
    }
}
