import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// What the log says of one connection; filled as it becomes known.
struct PlayerRecord {
    let startUs: UInt64
    var intent = MinecraftIntent.none
    private(set) var result: MinecraftResult?
    var reason: StaticString?
    var player: String?
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    /// Whether the connection is in the metrics already.
    var isCounted = false

    init(startUs: UInt64) { self.startUs = startUs }

    /// How the handshake ended; the first word counts.
    mutating func finish(_ result: MinecraftResult, _ reason: RefusalReason?) {
        guard self.result == nil else { return }
        self.result = result
        if self.reason == nil { self.reason = reason?.label }
    }
}

extension PlayerConnection {
    /// Counts the connection once, and logs it unless it became a tunnel, which has lines of its own.
    func finishRecord() {
        countBytes()
        guard !record.isCounted else { return }
        record.isCounted = true
        let result = record.result ?? .closed
        worker.metrics.minecraft(record.intent, result)
        guard worker.settings.logsAccess, worker.shared.log.allows(.info) else { return }
        // A probe that connects and leaves without a word is no news.
        if result == .closed, stream.bytesRead == 0 { return }
        // Junk and floods are counted, not written down one by one.
        let kind = Int(record.intent.rawValue) * MinecraftResult.allCases.count + Int(result.rawValue)
        guard worker.repeats.allow(kind, nowMs: Int64(worker.nowMs)) else { return }
        worker.log.beginLog(.info, "minecraft", epochMs: worker.loop.epochMs)
        appendFields()
        worker.log.field("result", result.label)
        endLine(reason: record.reason)
    }

    /// Brings the byte counters up to date.
    func countBytes() {
        worker.metrics.bytes(.minecraft, .received, Int(clamping: stream.bytesRead &- record.bytesIn))
        worker.metrics.bytes(.minecraft, .sent, Int(clamping: stream.bytesWritten &- record.bytesOut))
        record.bytesIn = stream.bytesRead
        record.bytesOut = stream.bytesWritten
    }

    /// Logs a tunnel's beginning; its end has the counts.
    func logTunnelOpen() {
        record.isCounted = true
        worker.metrics.minecraft(record.intent, .ok)
        worker.metrics.tunnelOpened(.minecraft)
        guard worker.settings.logsAccess, worker.shared.log.allows(.info) else { return }
        worker.log.beginLog(.info, "tunnel_open", epochMs: worker.loop.epochMs)
        appendFields()
        worker.log.endLog()
    }

    func logTunnelClose(_ reason: StaticString) {
        worker.metrics.tunnelClosed(.minecraft)
        guard worker.settings.logsAccess, worker.shared.log.allows(.info) else { return }
        worker.log.beginLog(.info, "tunnel_close", epochMs: worker.loop.epochMs)
        appendFields()
        endLine(reason: reason)
    }

    private func appendFields() {
        worker.log.field("kind", "minecraft")
        worker.log.field("client", peer.address)
        worker.log.field("intent", record.intent.label)
        if let route { worker.log.field("route", text: route.route.host) }
        if let backend = tunnel.link?.backend { worker.log.field("backend", text: backend.endpoint.description) }
        if let handshake { worker.log.field("protocol", Int(handshake.protocolVersion)) }
        if let player = record.player { worker.log.field("player", text: player) }
    }

    private func endLine(reason: StaticString?) {
        worker.log.field("bytes_in", stream.bytesRead)
        worker.log.field("bytes_out", stream.bytesWritten)
        worker.log.field("ms", microseconds: Int64(worker.loop.nowUs &- record.startUs))
        if let reason { worker.log.field("reason", reason) }
        worker.log.endLog()
    }
}

extension MinecraftWorker {
    /// One line for all that were not written.
    func logSuppressed(_ summary: RepeatSuppressor.Summary) {
        let results = MinecraftResult.allCases.count
        guard let intent = MinecraftIntent(rawValue: UInt8(truncatingIfNeeded: summary.reason / results)),
            let result = MinecraftResult(rawValue: UInt8(truncatingIfNeeded: summary.reason % results))
        else { return }
        log.beginLog(.info, "suppressed", epochMs: loop.epochMs)
        log.field("kind", "minecraft")
        log.field("intent", intent.label)
        log.field("result", result.label)
        log.field("lines", UInt64(max(0, summary.suppressed)))
        log.endLog()
    }

    /// Adds a misdeed to a source's score; a block counts from its next connection.
    func penalise(_ source: IPAddress, _ misdeed: Misdeed) {
        shared.sources.penalise(source, .minecraft, misdeed, nowMs: Int64(nowMs))
    }
}
