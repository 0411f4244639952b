import HTTP2
import Limits
import Observe
import Reactor
import Transport
import Wire

/// Deadlines, and every way in which a connection or all its streams end.
extension HTTP2Connection {
    /// What the connection's own deadline stands for now.
    func watch() {
        if client.watch == .farewell || client.watch == .drain { return }
        if client.stream.isBlocked { return client.watchStall() }
        if session.isInsideHead {
            let since = headSinceMs ?? (hadRequest ? worker.nowMs : client.idleSinceMs)
            headSinceMs = since
            let spent = Int(worker.nowMs &- since)
            return client.watch(.head, afterMs: max(1, worker.limits.headers.timeoutMs - spent))
        }
        headSinceMs = nil
        if !hadRequest {
            let spent = Int(worker.nowMs &- client.idleSinceMs)
            return client.watch(.opening, afterMs: max(1, worker.limits.headers.timeoutMs - spent))
        }
        if openStreams > 0 {
            client.watch(.none)
        } else if client.watch != .keepAlive {
            client.idleSinceMs = worker.nowMs
            isAtRest = false
            client.watch(.keepAlive, afterMs: min(Self.restMs, worker.limits.keepAliveMs))
        }
    }

    /// Idle for a moment: gives back what only traffic needs. Idle for long: says good-bye.
    func idled() {
        let leftMs = worker.limits.keepAliveMs - Self.restMs
        guard !isAtRest, leftMs > 0 else { return leave(.keepAlive) }
        isAtRest = true
        session.releaseMemory()
        client.watch(.keepAlive, afterMs: leftMs)
    }

    /// A head that never ends.
    func headTookTooLong() { leave(.headersTimeout) }

    /// Says which stream was the last, and closes once that is sent.
    func leave(_ reason: RefusalReason?) {
        session.goAway(reason == .headersTimeout ? .enhanceYourCalm : .noError)
        part(reason)
    }

    func part(_ reason: RefusalReason?) {
        endExchanges(sparing: false)
        var nothing = ByteBuffer()
        if client.stream.isBlocked || !emit(nil, &nothing) { return client.close(reason) }
        client.closePolitely(reason)
    }

    /// The client makes work for its own sake: no more streams, and the tunnels it has get 5 s (`limits.http2.abuse`).
    func shutOut() {
        worker.refuse(.http2Abuse, client.peer.address)
        guard !isShutOut else { return client.close(nil) }
        isShutOut = true
        isGoingAway = true
        endExchanges(sparing: true)
        client.watch(.farewell, afterMs: 5000)
        comeBack()
        if openStreams > 0 { client.loop.runAgain(client) }
    }

    private func endExchanges(sparing tunnels: Bool) {
        for case let stream? in streams where !(tunnels && stream.exchange.phase == .tunnel) { stream.lost() }
    }

    /// The connection is gone: so is all that ran on it.
    func lost() {
        let open = streams
        streams = []
        openStreams = 0
        for case let stream? in open { stream.connectionLost() }
        for (stream, code) in ended { stream.closed(code) }
        ended = []
        touched = []
        arrived = []
        submitters = []
    }

    func endIfStale() {
        for case let stream? in streams where !stream.isFinished { stream.endIfStale() }
    }

    func timePassed() {
        for case let stream? in streams where !stream.isFinished { stream.timePassed() }
    }

    /// The gateway goes down: streams that are on their way to us still count, which a second notice a second later ends
    /// (RFC 9113 section 6.8).
    func drain(afterMs: UInt64) {
        for case let stream? in streams where stream.exchange.phase == .tunnel && stream.watch != .tunnelClose {
            stream.watch(.drain, afterMs: Int(afterMs))
        }
        session.shutdownNotice()
        comeBack()
        if openStreams == 0 { return goAway() }
        client.watch(.drain, afterMs: 1000)
    }

    /// No stream that begins from now on is served.
    func goAway() {
        isGoingAway = true
        client.watch(.none)
        session.goAway(.noError)
        comeBack()
    }

    /// Memory is no longer short.
    func memoryEased() {
        for case let stream? in streams where stream.exchange.awaitsBody { client.loop.runAgain(stream) }
    }
}
