import Gateway
import Identity
import Observe

/// Which files of `state` cannot be written now, so that each change is said once. Owned by the supervisor.
struct StateHealth {
    /// What is kept there.
    enum Part: Int, CaseIterable {
        case spentTokens, sessions, revocations, keyRing, lastGood

        var name: StaticString {
            switch self {
            case .spentTokens: "spent_tokens"
            case .sessions: "sessions"
            case .revocations: "revocations"
            case .keyRing: "key_ring"
            case .lastGood: "last_good_routes"
            }
        }

        /// What it means that this cannot be written.
        var meaning: StaticString {
            switch self {
            case .spentTokens: "used launch tokens are not recorded: a start refuses all that were issued before it"
            case .sessions: "logouts are not recorded: a start refuses all sessions from before it"
            case .revocations: "revocations are not recorded: a restart forgets them"
            case .keyRing: "a new key cannot be kept"
            case .lastGood: "a start with a broken routes file would serve older routes, or none"
            }
        }
    }

    private var failures = [String?](repeating: nil, count: Part.allCases.count)
    private var said = [Bool](repeating: false, count: Part.allCases.count)

    /// Notes why a part cannot be written; nil when it can.
    mutating func note(_ part: Part, _ failure: String?) { failures[part.rawValue] = failure }

    func isFailing(_ part: Part) -> Bool { failures[part.rawValue] != nil }

    var isFailing: Bool { failures.contains { $0 != nil } }

    /// What began or ceased to fail since the last call.
    mutating func takeChanges() -> [(part: Part, failure: String?)] {
        let changed = Part.allCases.filter { said[$0.rawValue] != isFailing($0) }
        for part in changed { said[part.rawValue] = isFailing(part) }
        return changed.map { ($0, failures[$0.rawValue]) }
    }
}

extension Supervisor {
    /// Learns what other processes that share `state` wrote, and whether all of ours could be.
    func readState(_ now: Moment) {
        shared.sessions.shareActivity(now: now)
        if shared.sessions.readOthers(now: now) > 0 { shared.broadcast(.sessionsEnded) }
        shared.spent.readOthers(now: now)
        if revocationStore.readOthers(now: now) { publish() }
        noteStateHealth()
    }

    /// Says in log and metrics when something of `state` can no longer be written, and when it can again.
    func noteStateHealth() {
        stateHealth.note(.spentTokens, shared.spent.failure?.description)
        stateHealth.note(.sessions, shared.sessions.failure?.description)
        stateHealth.note(.revocations, revocationStore.failure?.description)
        metrics.setStateFailed(stateHealth.isFailing)
        for (part, failure) in stateHealth.takeChanges() {
            logEvent(failure == nil ? .info : .error, failure == nil ? "state_recovered" : "state_failed") {
                $0.field("what", part.name)
                guard let failure else { return }
                $0.field("message", text: failure)
                $0.field("meaning", part.meaning)
            }
        }
    }

    /// Says at the start what records of `state` had lines that could not be understood, and what follows from that.
    func warnOfDamagedState() {
        func warn(_ file: StaticString, _ lines: Int, _ message: StaticString) {
            guard lines > 0 else { return }
            logEvent(.warning, "state_damaged") {
                $0.field("file", file)
                $0.field("lines", lines)
                $0.field("message", message)
            }
        }
        warn("spent-tokens", shared.spent.damagedLines, "launch tokens issued before this start are refused")
        warn("ended-sessions", shared.sessions.damagedLines, "sessions from before this start are refused")
    }
}
