import Limits
import Observe
import Reactor
import Transport
import Wire

/// What reaches a connection from its worker: staleness, drains, and the header of a trusted proxy.
extension ClientConnection {
    /// Ends what the snapshot no longer allows.
    func endIfStale() {
        // Which vmids there may be is a setting of the snapshot's.
        knownAuthority.removeAll()
        guard phase == .open else { return }
        if let http2 { http2.endIfStale() } else { exchange.endIfStale() }
    }

    /// Called twice a second, for what changes by time alone.
    func timePassed() {
        guard phase == .open else { return }
        if let http2 { http2.timePassed() } else { exchange.timePassed() }
    }

    /// Memory is no longer short: goes on with the bodies that were not read.
    func memoryEased() {
        if let http2 { http2.memoryEased() } else if awaitsBody { loop.runAgain(self) }
    }

    /// The gateway goes down: close when idle, after the answer under way, or, a tunnel, after `afterMs`.
    func drain(afterMs: UInt64) {
        closesAfterAnswer = true
        guard phase == .open else { return phase == .lingering ? lingerLess() : close(nil) }
        if let http2 {
            http2.drain(afterMs: afterMs)
        } else if exchange.phase == .tunnel {
            // One that is being closed has a second at most already.
            if watch != .tunnelClose { watch(.drain, afterMs: Int(afterMs)) }
        } else if exchange.phase == .idle && inbound.isEmpty {
            closePolitely(nil)
        }
    }

    /// Reads exactly the PROXY header, so that TLS finds its first byte behind it.
    func readProxyHeader() {
        let outcome: ProxyHeader.Outcome
        switch stream.peek(atMost: ProxyHeader.limit, { ProxyHeader.parse($0) }) {
        case .found(let found): outcome = found
        case .blocked: return
        case .ended: return close(nil)
        }
        switch outcome {
        case .partial: return
        case .malformed:
            close(.badRequest)
        case .complete(let count, let source):
            stream.skip(count)
            if let source { peer = source }
            switch worker.shared.sources.connect(peer.address, .https, nowMs: Int64(worker.nowMs)) {
            case .admitted(let admitted): ticket = admitted
            case .refused(let refusal): return close(RefusalReason(refusal))
            }
            phase = .handshake
            advance()
        }
    }
}
