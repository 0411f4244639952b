import Reactor
import Synchronization

/// Finds places for newcomers when all are taken: asks every loop for its idle connections, and has the oldest of the
/// process closed, whichever loop or front it belongs to. Any thread may call it.
///
/// Loops cannot touch each other's connections, so all of it is messages: `.nameIdle` to each loop, their answers here,
/// `.closeIdle` to those that have the oldest, and `.roomFreed` to the loops whose listeners wait.
final class RoomFinder: Sendable {
    /// A round that some loop does not answer is given up after so long, when a listener asks again.
    private static let roundMs: UInt64 = 100
    /// One round closes at most so many: a flood pays for one look at all connections.
    static let mostAtOnce = 64

    private struct State: Sendable {
        var waiting: Set<Int> = []
        var round: UInt64 = 0
        var startedMs: UInt64 = 0
        /// Loops that have not answered; 0 when no round is under way.
        var due = 0
        var idle = 0
        var oldest: [(sinceMs: UInt64, loop: Int)] = []
    }

    private let state = Mutex(State())
    private let mailboxes = Mutex<[Int: Mailbox<WorkerMessage>]>([:])
    /// Whether a listener waits: looked at whenever a connection is closed.
    private let someoneWaits = Atomic(false)

    func add(_ mailbox: Mailbox<WorkerMessage>, loop: Int) { mailboxes.withLock { $0[loop] = mailbox } }

    private func post(_ message: WorkerMessage, to loop: Int) { mailboxes.withLock { $0[loop] }?.post(message) }

    /// A listener of this loop has somebody to accept and no place for it. It must look once more afterwards: a place that
    /// was freed before this call is told to nobody.
    func want(loop: Int) {
        someoneWaits.store(true, ordering: .sequentiallyConsistent)
        let loops = mailboxes.withLock { Array($0.keys) }
        let nowMs = Clock.monotonicUs() / 1000
        let round: UInt64? = state.withLock { state in
            state.waiting.insert(loop)
            // Another loop may have read the clock later and been here first.
            if state.due > 0 && nowMs < state.startedMs + Self.roundMs { return nil }
            state.round += 1
            state.startedMs = nowMs
            state.due = loops.count
            state.idle = 0
            state.oldest = []
            return state.round
        }
        if let round { for loop in loops { post(.nameIdle(round: round), to: loop) } }
    }

    /// A loop has `idle` connections that could go, the oldest of them since `sinceMs`, in order.
    func answer(round: UInt64, loop: Int, idle: Int, sinceMs: ArraySlice<UInt64>) {
        let victims: [Int: (notAfterMs: UInt64, count: Int)] = state.withLock { state in
            guard round == state.round, state.due > 0 else { return [:] }
            state.due -= 1
            state.idle += idle
            state.oldest += sinceMs.map { ($0, loop) }
            guard state.due == 0 else { return [:] }
            let count = min(Self.mostAtOnce, max(1, state.idle / 16))
            var victims: [Int: (notAfterMs: UInt64, count: Int)] = [:]
            for (sinceMs, loop) in state.oldest.sorted(by: { $0.sinceMs < $1.sinceMs }).prefix(count) {
                victims[loop] = (sinceMs, (victims[loop]?.count ?? 0) + 1)
            }
            state.oldest = []
            return victims
        }
        for (loop, these) in victims { post(.closeIdle(notAfterMs: these.notAfterMs, atMost: these.count), to: loop) }
    }

    /// A connection was closed, after the count of open ones was lowered.
    func placeFreed() {
        guard someoneWaits.load(ordering: .sequentiallyConsistent) else { return }
        let waiting = state.withLock { state in
            someoneWaits.store(false, ordering: .sequentiallyConsistent)
            defer { state.waiting = [] }
            return state.waiting
        }
        for loop in waiting { post(.roomFreed, to: loop) }
    }
}
