import Synchronization
import Wire

@testable import Limits

/// What a look at the table shows; nothing is taken.
extension SourceTable {
    func hasUnauthenticated(_ address: IPAddress, nowMs: Int64) -> Bool {
        peek(address) { $0.unauthenticated.msUntilNext($1.https.unauthenticated, nowMs: nowMs) } == 0
    }

    func hasStatus(_ address: IPAddress, nowMs: Int64) -> Bool {
        peek(address) { $0.status.msUntilNext($1.minecraft.status, nowMs: nowMs) } == 0
    }

    func hasLogin(_ address: IPAddress, nowMs: Int64) -> Bool {
        peek(address) { $0.login.msUntilNext($1.minecraft.login, nowMs: nowMs) } == 0
    }

    /// Milliseconds for which new connections of the source are still refused.
    func blockedMs(_ address: IPAddress, _ kind: ListenerKind, nowMs: Int64) -> Int64 {
        peek(address) { source, _ in max(source.kinds[Int(kind.rawValue)].blockedUntilMs, nowMs) - nowMs }
    }

    /// Connections open now whose source found no place.
    var overflowConnections: Int {
        overflow.withLock { Int($0.source.kinds[0].open) + Int($0.source.kinds[1].open) }
    }

    /// Bytes held for sources and their index.
    var storageBytes: Int {
        shards.reduce(0) { $0 + $1.state.withLock { $0.storageBytes } }
    }

    private func peek(_ address: IPAddress, _ body: (Source, SourceSettings) -> Int64) -> Int64 {
        let (prefix, hash, shard) = locate(address)
        let known: Int64? = shards[shard].state.withLock { state in
            if state.settings.isExempt(address) { return 0 }
            guard let at = state.find(prefix, hash) else { return state.isFull ? nil : 0 }
            return body(state.sources[at], state.settings)
        }
        return known ?? overflow.withLock { body($0.source, $0.settings) }
    }
}

extension TokenLevel {
    /// Milliseconds, rounded up, until a token is free; 0 when one is.
    func msUntilNext(_ rate: TokenRate, nowMs: Int64) -> Int64 {
        var copy = self
        return copy.take(rate, nowMs: nowMs) ?? 0
    }
}

/// A level with its rate.
struct TokenBucket {
    private let rate: TokenRate
    private var level = TokenLevel()

    init(perSecond: Double, burst: Double) { rate = TokenRate(perSecond: perSecond, burst: burst) }

    mutating func take(nowMs: Int64, count: Int = 1) -> Bool {
        level.take(rate, nowMs: nowMs, count: Int64(count)) == nil
    }

    func msUntilNext(nowMs: Int64) -> Int64 { level.msUntilNext(rate, nowMs: nowMs) }
}
