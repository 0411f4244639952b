import Limits
import Observe
import Reactor
import Wire

extension Worker {
    /// Counts a refusal, and logs it unless its reason comes in a flood.
    func refuse(_ reason: RefusalReason, _ source: IPAddress) {
        metrics.refused(.https, reason)
        guard shared.log.allows(.debug) || reason.isWorthALine, repeats.allow(Int(reason.rawValue), nowMs: Int64(nowMs))
        else { return }
        log.beginLog(.warning, "refused", epochMs: loop.epochMs)
        log.field("client", source)
        log.field("reason", reason.label)
        log.endLog()
    }

    /// One line for all that were not written.
    func logSuppressed(_ summary: RepeatSuppressor.Summary) {
        guard let reason = RefusalReason(rawValue: UInt8(truncatingIfNeeded: summary.reason)) else { return }
        log.beginLog(.warning, "suppressed", epochMs: loop.epochMs)
        log.field("reason", reason.label)
        log.field("lines", UInt64(max(0, summary.suppressed)))
        log.endLog()
    }
}

extension RefusalReason {
    /// A limit that an operator may have to move, or an attack; ordinary errors are in the access log.
    fileprivate var isWorthALine: Bool {
        switch self {
        case .keepAlive, .unauthorized, .forbidden, .noSuchIde, .notFound, .methodNotAllowed, .misdirected,
            .badRequest, .unreachable, .badGateway, .upstreamTimeout, .routeConflict, .tooLarge, .timeout, .limited,
            .drain:
            false
        default: true
        }
    }

    /// The reason for a refusal by the source table.
    init(_ refusal: SourceTable.Refusal) {
        switch refusal {
        case .blocked: self = .penalty
        case .tooManyConnections: self = .httpsConnections
        case .tooManyPlaces: self = .connections
        case .untracked: self = .sourceTracked
        case .connectRate: self = .httpsConnects
        }
    }
}
