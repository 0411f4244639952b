import Identity
import Limits
import Observe
import Reactor
import Transport
import Wire

/// A WebSocket after its 101: bytes pass untouched both ways, each direction ends for itself.
extension Exchange {
    private static let bytesPerTurn = 1 << 20

    /// The 101 is staged: from here the two streams belong together.
    func openTunnel() {
        phase = .tunnel
        tunnel = TunnelState()
        tunnel.openedUs = loop.nowUs
        tunnel.activeMs = worker.nowMs
        expectedAccept = ByteBuffer()
        // Thousands of these wait for somebody to type: what only further requests would need goes.
        client.connection.forgetRequests()
        record.compact()
        worker.metrics.tunnelOpened(.websocket)
        finishRecord()
        logTunnelOpen()
        if client.push() == .failed { return client.lost() }
        checkTunnel()
        if worker.isDraining { return closeTunnel(.drain) }
        // Session or route may have gone while the container made up its mind.
        endIfStale()
        if phase == .tunnel { pumpTunnelToClient() }
        if phase == .tunnel { pumpTunnelToUpstream() }
    }

    // MARK: Client to container

    func pumpTunnelToUpstream() {
        // Named once: each look at a class's own variable counts a reference.
        guard phase == .tunnel, let client, let upstream, !(tunnel.closing?.stopsClient ?? false) else { return }
        let blocks = blocks
        var budget = Self.bytesPerTurn
        while phase == .tunnel, !upstream.stream.isBlocked, !tunnel.clientEnded {
            if client.inbound.isEmpty {
                guard client.readMore() else { return }
                continue
            }
            let count = client.inbound.count
            let outcome = client.inbound.withReadable { upstream.stream.send($0, blocks) }
            client.inbound.consume(count)
            client.taken(count)
            tunnel.bytesIn &+= UInt64(count)
            noteTunnelActivity()
            switch outcome {
            case .sent: break
            case .blocked: client.readLess()
            case .failed:
                // It may have said something before it went.
                tunnel.clientEnded = true
                return pumpTunnelToClient()
            }
            budget -= count
            if budget <= 0 { return loop.runAgain(client) }
        }
        if phase == .tunnel { client.inbound.recycle(into: blocks) }
    }

    /// The client sends no more: tell the container the same, and go on in the other direction.
    func clientClosedTunnelSide() {
        guard !tunnel.clientEnded, let upstream else { return }
        tunnel.clientEnded = true
        if upstream.stream.shutdownWriting(blocks) == .failed || tunnel.upstreamEnded {
            finishTunnel(.clientClosed)
        }
    }

    /// The client is gone altogether. What it sent before is still to be read, but behind its end comes nothing that
    /// would tell: a container that says nothing would keep the tunnel for ever.
    func clientHungUp() {
        if phase == .tunnel && tunnel.clientEnded { client.lost() }
    }

    // MARK: Container to client

    func pumpTunnelToClient() {
        guard phase == .tunnel, let client, let upstream else { return }
        let blocks = blocks
        var budget = Self.bytesPerTurn
        while phase == .tunnel, !tunnel.upstreamEnded {
            if client.isBlocked {
                upstream.stream.readLess()
                return upstream.inbound.recycle(into: blocks)
            }
            if upstream.inbound.isEmpty {
                switch upstream.read(for: client) {
                case .bytes: continue
                case .blocked:
                    upstream.inbound.recycle(into: blocks)
                    return
                case .ended: return upstreamClosedTunnelSide()
                case .failed: return finishTunnel(.broken)
                }
            }
            let held = upstream.inbound.count
            let isClosing = tunnel.closing != nil
            let count = upstream.inbound.withReadable { bytes in
                let fresh = bytes.extracting(droppingFirst: tunnel.ahead)
                // While closing, only the rest of the frame under way still goes out.
                let count = isClosing ? tunnel.tracker.boundary(in: fresh) ?? fresh.count : fresh.count
                tunnel.tracker.advance(fresh.extracting(first: count))
                return tunnel.ahead + count
            }
            let outcome = client.send(&upstream.inbound, count)
            let passed = held - upstream.inbound.count
            tunnel.ahead = count - passed
            tunnel.bytesOut &+= UInt64(passed)
            noteTunnelActivity()
            if outcome == .failed { return client.lost() }
            if isClosing && tunnel.isAtBoundary { return closeTunnelNow() }
            budget -= count
            if budget <= 0 { return loop.runAgain(upstream) }
        }
    }

    private func upstreamClosedTunnelSide() {
        tunnel.upstreamEnded = true
        upstream?.inbound.recycle(into: blocks)
        if client.shutdownWriting() == .failed || tunnel.clientEnded {
            finishTunnel(.upstreamClosed)
        }
    }

    /// The same for the container.
    func upstreamHungUp() {
        if phase == .tunnel && tunnel.upstreamEnded { finishTunnel(.upstreamClosed) }
    }

    private func noteTunnelActivity() {
        tunnel.activeMs = worker.nowMs
        session?.touch(steady: worker.steadySeconds)
    }

    // MARK: Ends of ours

    /// Ends the tunnel with a close frame: now if the container is between frames, else at the next boundary, and in a
    /// second at the latest.
    func closeTunnel(_ why: TunnelEnd) {
        guard phase == .tunnel, tunnel.closing == nil else { return }
        tunnel.closing = why
        // What waits to be sent may reach another container by now.
        if case .routeChanged = why, isAnotherContainersNow { upstream?.stream.abort(blocks) }
        if tunnel.isAtBoundary || tunnel.upstreamEnded { return closeTunnelNow() }
        client.watch(.tunnelClose, afterMs: 1000)
    }

    /// Says why, if that can still be said, and closes both sides.
    func closeTunnelNow() {
        guard phase == .tunnel else { return }
        let why = tunnel.closing ?? .drain
        var code: UInt16?
        if tunnel.isAtBoundary && !tunnel.tracker.sawClose && !client.isWriteShutdown {
            var frame = ByteBuffer(capacity: 128)
            WebSocketClose.append(code: why.code, reason: why.reason, to: &frame)
            _ = client.send(&frame, frame.count)
            code = why.code
        }
        endTunnelRecord(.ended(why))
        releaseUpstream(reusable: false)
        reset()
        client.endTunnel(.closing(code: code))
    }

    /// Looks whether the session still allows the tunnel, and when to look again.
    func checkTunnel() {
        guard phase == .tunnel, let session else { return }
        let now = worker.now
        let idle = worker.settings.session.idle
        if let ended = session.check(now: now, idle: idle) { return closeTunnel(.session(ended)) }
        var waitMs = Int64(max(1, min(session.absoluteEnd - now.epoch, session.idleSince + idle - now.steady))) * 1000
        let tunnelIdleMs = worker.limits.tunnelIdle.websocketMs
        if tunnelIdleMs > 0 {
            let silentMs = Int64(worker.nowMs &- tunnel.activeMs)
            if silentMs >= Int64(tunnelIdleMs) {
                worker.refuse(.tunnelIdleWebsocket, client.address)
                return closeTunnel(.idle)
            }
            waitMs = min(waitMs, Int64(tunnelIdleMs) - silentMs)
        }
        switch client.watch {
        case .stall, .tunnelClose, .drain: return
        default: break
        }
        client.watch(.tunnel, afterMs: Int(clamping: waitMs))
    }

    /// Both sides are done, or one broke.
    private func finishTunnel(_ outcome: TunnelOutcome) {
        guard phase == .tunnel else { return }
        let isBroken = !tunnel.upstreamEnded
        endTunnelRecord(outcome)
        releaseUpstream(reusable: false)
        reset()
        client.endTunnel(isBroken ? .broken : .ended)
    }

    func endTunnelRecord(_ outcome: TunnelOutcome) {
        worker.metrics.tunnelClosed(.websocket)
        client.connection.countBytes()
        logTunnelClose(outcome.label)
    }
}
