public import Identity
public import Limits
public import Observe
import Reactor
import Synchronization

/// Everything that the loops of a process share, exhaustively. All of it is locked or atomic inside; none of it is
/// touched per byte.
public final class GatewayShared: Sendable {
    /// Per-source limits and penalties.
    public let sources: SourceTable
    /// Live sessions.
    public let sessions: SessionRegistry
    /// Launch tokens already used.
    public let spent: SpentTokens
    /// What seals the session cookies.
    public let keyRing: KeyRing
    /// Counters.
    public let metrics: Metrics
    /// The process's log.
    public let log: LogSink
    /// Client connections open in the process.
    let connections = Atomic<Int>(0)
    /// How many may be.
    let connectionLimit: Atomic<Int>
    /// Tunnels, and answers that last, in the process: each has a connection of its own to a container.
    let streams = Atomic<Int>(0)
    /// What memory allows, as `MemoryPressure` counts it; set by the supervisor.
    private let memory = Atomic<UInt8>(0)
    /// Counts by vmid.
    let containers = ContainerLedger()
    /// Launches whose answer may have been lost.
    let launches = Mutex(RecentLaunches())
    /// Browsers sent to the login page of late.
    let redirects = RedirectLedger()
    let rooms = RoomFinder()
    let largestStalled = Atomic<Int>(0)
    private let mailboxes = Mutex<[Mailbox<WorkerMessage>]>([])
    private let latest = Mutex<GatewaySnapshot?>(nil)
    /// The version in force, which loops may not have adopted yet.
    private let versionInForce = Atomic<UInt64>(0)

    /// Shared state for one process.
    public init(
        sources: SourceTable, sessions: SessionRegistry, spent: SpentTokens, keyRing: KeyRing, metrics: Metrics,
        log: LogSink, connectionLimit: Int
    ) {
        self.sources = sources
        self.sessions = sessions
        self.spent = spent
        self.keyRing = keyRing
        self.metrics = metrics
        self.log = log
        self.connectionLimit = Atomic(connectionLimit)
    }

    /// What must be given up for memory's sake.
    public var memoryPressure: MemoryPressure {
        get { MemoryPressure(rawValue: memory.load(ordering: .relaxed)) ?? .normal }
        set { memory.store(newValue.rawValue, ordering: .relaxed) }
    }

    /// Applies a changed `limits.connections`.
    public func setConnectionLimit(_ limit: Int) { connectionLimit.store(limit, ordering: .relaxed) }

    /// Brings a version into force.
    public func adopt(_ next: GatewaySnapshot) {
        latest.withLock { $0 = next }
        versionInForce.store(next.version, ordering: .releasing)
        broadcast(.adopt(next))
    }

    /// Whether a later version than this is in force.
    func isSuperseded(_ version: UInt64) -> Bool { versionInForce.load(ordering: .acquiring) > version }

    /// The version in force, if a loop with `snapshot` has yet to adopt it.
    func inForce(_ snapshot: GatewaySnapshot) -> GatewaySnapshot {
        guard isSuperseded(snapshot.version), let next = latest.withLock({ $0 }) else { return snapshot }
        return next
    }

    /// Loops that serve.
    public var loopCount: Int { mailboxes.withLock { $0.count } }

    func add(_ mailbox: Mailbox<WorkerMessage>, loop: Int) {
        mailboxes.withLock { $0.append(mailbox) }
        rooms.add(mailbox, loop: loop)
    }

    /// Posts a message to every loop.
    public func broadcast(_ message: WorkerMessage) {
        for mailbox in mailboxes.withLock({ $0 }) { mailbox.post(message) }
    }
}
