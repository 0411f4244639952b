/// One thread's loop: epoll, deadlines, and the sources that want another go.
///
/// An ordinary class, made on its thread and used on it alone; other threads reach it through a `Mailbox`.
public final class EventLoop {
    private let epoll: Epoll
    private var sources: [EventSource?] = []
    private var generations: [UInt32] = []
    private var freeSlots: [Int] = []
    private var timers: TimerWheel
    private var deferred: [EventSource] = []
    private var isStopping = false

    /// Monotonic milliseconds, read once a turn.
    public private(set) var nowMs: UInt64
    /// The same instant in microseconds.
    public private(set) var nowUs: UInt64
    /// Milliseconds since 1970, read once a turn.
    public private(set) var epochMs: Int64
    /// How long the last turn took, in microseconds: what a new event had to wait at worst.
    public private(set) var lastTurnUs: UInt64 = 0
    /// Called at the end of each turn, before the loop sleeps: the place for what is done once for many events.
    public var turnEnded: (() -> Void)?

    /// A loop for the calling thread.
    public init() throws(SystemError) {
        epoll = try Epoll()
        nowUs = Clock.monotonicUs()
        nowMs = nowUs / 1000
        epochMs = Clock.epochMs()
        timers = TimerWheel(nowMs: nowMs)
    }

    /// Seconds since 1970.
    public var epochSeconds: Int64 { epochMs / 1000 }

    /// Delivers the events of `descriptor` to `source` until `deregister`. The source owns the descriptor and closes it
    /// only after `deregister`. `exclusively` is for a listening socket that several loops watch: an arrival wakes the one
    /// that has waited longest since it joined.
    public func register(
        _ source: EventSource, _ descriptor: borrowing FileDescriptor, exclusively: Bool = false
    ) throws(SystemError) {
        precondition(!source.isRegistered)
        let token = takeSlot()
        do {
            try epoll.add(descriptor, token: token.rawValue, exclusively: exclusively)
        } catch {
            freeSlots.append(token.slot)
            throw error
        }
        sources[token.slot] = source
        source.token = token
    }

    /// Serves `source`, which has no descriptor of its own, with deadlines and further goes until `deregister`.
    public func register(_ source: EventSource) {
        precondition(!source.isRegistered)
        source.token = takeSlot()
        sources[source.token.slot] = source
    }

    /// Puts an exclusive watcher behind those of the other loops, so that they take turns. When this throws, no more events
    /// come until another call succeeds.
    func rejoin(_ source: EventSource, _ descriptor: borrowing FileDescriptor) throws(SystemError) {
        guard source.isRegistered else { return }
        epoll.remove(descriptor)
        try epoll.add(descriptor, token: source.token.rawValue, exclusively: true)
    }

    private func takeSlot() -> EventToken {
        if let free = freeSlots.popLast() { return EventToken(slot: free, generation: generations[free]) }
        sources.append(nil)
        generations.append(0)
        return EventToken(slot: sources.count - 1, generation: 0)
    }

    /// Ends deliveries: events already fetched for the source are dropped, its deadline is forgotten.
    public func deregister(_ source: EventSource, _ descriptor: borrowing FileDescriptor) {
        guard source.isRegistered else { return }
        epoll.remove(descriptor)
        deregister(source)
    }

    /// The same for a source without a descriptor.
    public func deregister(_ source: EventSource) {
        guard source.isRegistered else { return }
        let slot = source.token.slot
        source.token = .none
        source.deadlineMs = .max
        source.armedTick = 0
        generations[slot] &+= 1
        // The none token is never a live one.
        if EventToken(slot: slot, generation: generations[slot]) == .none { generations[slot] = 0 }
        sources[slot] = nil
        freeSlots.append(slot)
    }

    /// Sets when `source.expired` is called, in the loop's milliseconds; `.max` for never.
    public func setDeadline(_ deadlineMs: UInt64, for source: EventSource) {
        source.deadlineMs = deadlineMs
        guard deadlineMs != .max, source.isRegistered else { return }
        let tick = timers.tick(for: deadlineMs)
        if source.armedTick == 0 || tick < source.armedTick {
            source.armedTick = tick
            timers.insert(source.token, at: tick)
        }
    }

    /// Calls `source.resumed` in the next turn, after the events that came meanwhile: for work too long for one turn.
    public func runAgain(_ source: EventSource) {
        guard !source.isDeferred else { return }
        source.isDeferred = true
        deferred.append(source)
    }

    /// Turns until `stop`.
    public func run() throws(SystemError) {
        while !isStopping { try turn(waitAtMostMs: 1000) }
    }

    /// Ends `run` after the current turn.
    public func stop() { isStopping = true }

    /// Waits for events, at most so long, and delivers what came, then what is due, then what wanted to run again.
    public func turn(waitAtMostMs: UInt64) throws(SystemError) {
        var wait = deferred.isEmpty ? waitAtMostMs : 0
        if wait > 0, let timer = timers.wait(nowMs: nowMs) { wait = min(wait, timer) }
        let count = try epoll.wait(atMostMs: wait)
        let startedUs = Clock.monotonicUs()
        nowUs = startedUs
        nowMs = startedUs / 1000
        epochMs = Clock.epochMs()

        for index in 0..<count {
            let event = epoll.event(index)
            source(of: EventToken(rawValue: event.token))?.ready(event.readiness)
        }
        while let (tick, tokens) = timers.next(nowMs: nowMs) {
            for token in tokens { fire(token, tick) }
        }
        if !deferred.isEmpty {
            let again = deferred
            deferred = []
            for source in again {
                source.isDeferred = false
                if source.isRegistered { source.resumed() }
            }
        }
        lastTurnUs = Clock.monotonicUs() &- startedUs
        turnEnded?()
    }

    private func fire(_ token: EventToken, _ tick: UInt64) {
        guard let source = source(of: token), source.armedTick == tick else { return }
        source.armedTick = 0
        if source.deadlineMs > nowMs {
            setDeadline(source.deadlineMs, for: source)
        } else {
            source.deadlineMs = .max
            source.expired()
        }
    }

    private func source(of token: EventToken) -> EventSource? {
        let slot = token.slot
        guard slot < sources.count, generations[slot] == token.generation else { return nil }
        return sources[slot]
    }
}
