public import Wire

/// The counters of one event loop. Its loop alone writes them, with a load and a store; a scrape sums all loops'.
public final class LoopMetrics: Sendable {
    let cells = Cells(count: Layout.count)

    init() {}

    /// An answer went out (or a request was ended with what would have been `code`).
    public func request(method: Method, code: Int, protocol version: HTTPProtocol) {
        cells.bump(Layout.request(method, min(max(code, 100), 599), version))
    }

    /// How long a request took from its first byte to the last of its answer.
    public func requestTime(microseconds: Int64) {
        record(Layout.requestTime, microseconds)
    }

    /// How long the container took from connecting or sending to the head of its answer.
    public func upstreamTime(microseconds: Int64) {
        record(Layout.upstreamTime, microseconds)
    }

    /// A connection was accepted.
    public func connectionOpened(_ listener: ListenerLabel) {
        cells.bump(Layout.connections + Int(listener.rawValue))
    }

    /// A connection was closed.
    public func connectionClosed(_ listener: ListenerLabel) {
        cells.bump(Layout.connections + Int(listener.rawValue), by: .max)
    }

    /// A tunnel began.
    public func tunnelOpened(_ kind: TunnelKind) {
        cells.bump(Layout.tunnels + Int(kind.rawValue))
    }

    /// A tunnel ended.
    public func tunnelClosed(_ kind: TunnelKind) {
        cells.bump(Layout.tunnels + Int(kind.rawValue), by: .max)
    }

    /// Bytes went between a client and us.
    public func bytes(_ listener: ListenerLabel, _ direction: Direction, _ count: Int) {
        cells.bump(Layout.bytes(listener, direction), by: UInt64(clamping: count))
    }

    /// A TLS handshake ended.
    public func handshake(_ version: TLSVersionLabel, resumed: Bool, _ result: HandshakeResult) {
        cells.bump(Layout.handshake(version, resumed, result))
    }

    /// A launch ended.
    public func launch(_ result: LaunchResult) {
        cells.bump(Layout.launches + Int(result.rawValue))
    }

    /// Something was refused.
    public func refused(_ listener: ListenerLabel, _ reason: RefusalReason) {
        cells.bump(Layout.refused(listener, reason))
    }

    /// A player's connection had its handshake served or refused.
    public func minecraft(_ intent: MinecraftIntent, _ result: MinecraftResult) {
        cells.bump(Layout.minecraft(intent, result))
    }

    /// The loop begins a turn: `nowMs` is monotonic, `lagMicroseconds` how late the turn is or how long the one before
    /// took. To be called at least once a second, by a timer if by nothing else: `Metrics.stalledLoops` reads it.
    public func turned(nowMs: Int64, lagMicroseconds: Int64) {
        let now = UInt64(clamping: nowMs)
        cells.set(Layout.lastTurn, now)
        if now &- cells[Layout.lagWindow] >= Layout.lagWindowMs {
            cells.set(Layout.lagWindow, now)
            cells.set(Layout.lagBefore, cells[Layout.lag])
            cells.set(Layout.lag, 0)
        }
        let lag = UInt64(clamping: lagMicroseconds)
        if lag > cells[Layout.lag] { cells.set(Layout.lag, lag) }
    }

    /// The longest lag of this and the last window of 15 s, in microseconds.
    var worstLag: UInt64 { max(cells[Layout.lag], cells[Layout.lagBefore]) }

    private func record(_ histogram: Int, _ microseconds: Int64) {
        let value = UInt64(clamping: microseconds)
        cells.bump(histogram + Buckets.index(value))
        cells.bump(histogram + Buckets.count, by: value)
    }
}

/// Where each counter of a loop lies in its row of cells.
enum Layout {
    static let methods = 10
    static let codes = 500
    static let lagWindowMs: UInt64 = 15_000

    static let requests = 0
    static let requestTime = 2 * methods * codes
    static let upstreamTime = requestTime + Buckets.count + 1
    static let connections = upstreamTime + Buckets.count + 1
    static let tunnels = connections + 5
    static let byteCounts = tunnels + 2
    static let handshakes = byteCounts + 5 * 2
    static let launches = handshakes + 3 * 2 * HandshakeResult.count
    static let refusals = launches + 10
    static let minecraftResults = refusals + 5 * 64
    static let lastTurn = minecraftResults + 5 * MinecraftResult.count
    static let lag = lastTurn + 1
    static let lagBefore = lastTurn + 2
    static let lagWindow = lastTurn + 3
    static let count = lastTurn + 4

    static func request(_ method: Method, _ code: Int, _ version: HTTPProtocol) -> Int {
        requests + (Int(version.rawValue) * methods + Int(min(method.rawValue, 9))) * codes + code - 100
    }

    static func bytes(_ listener: ListenerLabel, _ direction: Direction) -> Int {
        byteCounts + Int(listener.rawValue) * 2 + Int(direction.rawValue)
    }

    static func handshake(_ version: TLSVersionLabel, _ resumed: Bool, _ result: HandshakeResult) -> Int {
        handshakes + (Int(version.rawValue) * 2 + (resumed ? 1 : 0)) * HandshakeResult.count + Int(result.rawValue)
    }

    static func refused(_ listener: ListenerLabel, _ reason: RefusalReason) -> Int {
        refusals + Int(listener.rawValue) * 64 + Int(reason.rawValue)
    }

    static func minecraft(_ intent: MinecraftIntent, _ result: MinecraftResult) -> Int {
        minecraftResults + Int(intent.rawValue) * MinecraftResult.count + Int(result.rawValue)
    }
}
