import Config
import Limits
import Observe
import Reactor
import TLS

/// What an operator should know while all goes on. On the main thread.
extension Supervisor {
    /// `limits.connections: auto` of fewer is hardly what was meant.
    private static let fewConnections = 4096
    /// Whoever watches the files and has not seen them for so long waits for a file system that does not answer.
    private static let blindMs: UInt64 = 10_000

    /// Says what the certificates' dates give cause for, once.
    func warnOfCertificates() {
        for (certificate, concern) in reminders.due(certificates, now: LoadedFiles.now()) {
            logEvent(concern.isOutOfDate ? .error : .warning, "certificate") {
                $0.field("file", text: certificate.path)
                $0.field("name", text: certificate.names.first ?? "")
                $0.field("key", text: certificate.keyKind)
                $0.field("message", text: concern.message)
            }
        }
    }

    /// Says when the descriptors of the process carry fewer connections than are meant to come.
    func warnOfDescriptors() {
        let descriptors = SystemMemory.descriptorLimit()
        let carried = descriptorBudget(descriptors)
        let wanted = config.limits.connections ?? Self.fewConnections
        guard carried < wanted else { return }
        let problem =
            "the process may open \(descriptors) descriptors, which carry \(carried) connections"
            + (config.limits.connections.map { " and not the \($0) of limits.connections" } ?? "")
            + ": raise its limit (LimitNOFILE=1048576 in the unit, ulimit -n)"
        logEvent(.warning, "warning") { $0.field("message", text: problem) }
    }

    /// Says when changed files go unseen, and when no more.
    func checkWatch() {
        let isBlind = (watch?.silenceMs(nowMs: Clock.monotonicMs()) ?? 0) >= Self.blindMs
        defer { self.isBlind = isBlind }
        guard isBlind != self.isBlind else { return }
        let message: StaticString =
            isBlind ? "changed files go unseen: a file system does not answer" : "changed files are seen again"
        logEvent(.warning, "warning") { $0.field("message", message) }
    }
}
