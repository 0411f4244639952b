/// The streams of one loop, used on its thread only: those at work, up to a limit, and a few that wait.
public final class GzipPool {
    private var idle: [GzipStream] = []
    private let keeps: Int
    private let limit: Int
    private let level: Int

    /// Streams taken and not given back.
    public private(set) var taken = 0

    /// At most `limit` streams work at once, and at most `keeps` wait.
    public init(limit: Int, keeps: Int, level: Int = GzipSettings.level) {
        self.limit = max(limit, 0)
        self.keeps = max(keeps, 0)
        self.level = level
        idle.reserveCapacity(self.keeps)
    }

    /// Streams that wait.
    public var idleCount: Int { idle.count }

    /// A stream at its start, a waiting one if there is any. Nil when as many as may work already do, or without
    /// memory: the answer then goes out as it is. Each must be given back.
    public func take() -> GzipStream? {
        guard taken < limit, let stream = idle.popLast() ?? GzipStream(level: level) else { return nil }
        taken += 1
        return stream
    }

    /// Takes a stream back at any point of its life; one more than the pool keeps is freed.
    public func give(_ stream: consuming GzipStream) {
        precondition(taken > 0)
        taken -= 1
        guard idle.count < keeps else { return }
        stream.reset()
        idle.append(stream)
    }

    /// Frees those that wait, when memory is short.
    public func trim() { idle.removeAll(keepingCapacity: true) }
}
