import Limits
import Observe
import Reactor
import Routing
import Transport
import Wire

/// Towards the container: a place, a connection, the request on it, the retry.
extension Exchange {
    /// The request may go to `route`: take a place there.
    func forward() {
        guard let route else { return }
        let pool = worker.pool(for: route)
        self.pool = pool
        let limits = worker.limits.upstream
        if isUpgrade {
            guard pool.enterStream(limit: limits.streamsPerVMID) else {
                return fail(.overloaded(.upstreamStreamsPerVmid))
            }
            place = .stream
            guard takeStream() else { return fail(.overloaded(.connections)) }
            return connect()
        }
        place = pool.enter(self, places: limits.perVMID, queue: limits.queue)
        switch place {
        case .exchange, .stream: connect()
        case .waiting:
            phase = .queued
            client.watch(.queued, afterMs: limits.connectMs)
        case .none: fail(.overloaded(.upstreamQueue))
        }
    }

    /// The wait is over: a place is free.
    func gotPlace() {
        place = .exchange
        client.watch(.none)
        connect()
    }

    /// Waited for `limits.upstream.connect` in vain.
    func waitedTooLong() { fail(.overloaded(.upstreamPerVmid)) }

    private func connect() {
        guard let route, mayGoOn() else { return }
        record.upstreamStartUs = loop.nowUs
        // A WebSocket gets a connection of its own; anything else prefers one that is open.
        if !isUpgrade, !retried, let idle = pool?.takeIdle(for: route, nowMs: worker.nowMs) {
            upstream = idle
            idle.attach(self)
            return sendRequest()
        }
        phase = .connecting
        client.watch(.none)
        do {
            upstream = try UpstreamConnection(route, for: self, worker: worker)
        } catch {
            connectFailed(error)
        }
    }

    /// The connection did not come about.
    func connectFailed(_ error: SystemError) {
        upstream = nil
        if error.isOutOfDescriptors { return fail(.overloaded(.connections)) }
        fail(error.code == SystemError.timedOut ? .upstreamTimeout : .unreachable)
    }

    /// The connect is done; by now the address may be another container's.
    func connected() {
        if mayGoOn() { sendRequest() }
    }

    /// The container's connection is there: send the head, then the body as it comes.
    private func sendRequest() {
        guard let upstream else { return }
        phase = .requesting
        measureBody()
        let outcome = outgoing.withReadable { upstream.stream.send($0, blocks) }
        if outcome == .failed { return upstreamBroke() }
        if body.isComplete {
            awaitAnswer()
        } else {
            client.beginBodyWatch()
            if !askForBody() { return client.lost() }
            loop.runAgain(client)
        }
    }

    /// Sends 100 to a client that waits for it with its body (RFC 9110 section 10.1.1). The container never sees the
    /// `Expect`: if it answered before the body had come, its connection would be left in the middle of a request. False
    /// when the client is lost.
    func askForBody() -> Bool {
        guard expectsContinue, minorVersion >= 1, !body.isComplete else { return true }
        expectsContinue = false
        // A client that has begun to send did not wait.
        if client.inbound.isEmpty { client.staged.append("HTTP/1.1 100 Continue\r\n\r\n") }
        return client.push() != .failed
    }

    /// The container has `limits.upstream.response` to begin its answer, or to take more of the request.
    func awaitAnswer() {
        guard let upstream, !answer.began else { return }
        loop.setDeadline(worker.nowMs + UInt64(worker.limits.upstream.responseMs), for: upstream)
    }

    /// The container took all that waited.
    func upstreamDrained() {
        if phase == .tunnel { return client.advance() }
        // While the body comes, the client is the one who is waited for.
        if body.isComplete {
            upstreamProgressed()
        } else if phase == .requesting, let upstream {
            loop.setDeadline(.max, for: upstream)
        }
        client.bodyWindow = (worker.nowMs, 0)
        client.advance()
    }

    /// The container took some of what waits, so it is alive.
    func upstreamProgressed() {
        if phase == .requesting { awaitAnswer() }
    }

    /// It takes no more of the request. It may have answered before it stopped; reading will tell.
    func upstreamStoppedReading() {
        if phase == .tunnel { return }
        abandonsBody = true
    }

    /// No answer in time; or, during one, no end of its trailers, or a flush is due.
    func answerTimedOut() {
        switch phase {
        case .requesting:
            worker.refuse(.upstreamResponse, client.address)
            fail(.upstreamTimeout)
        case .answering:
            if let upstream, upstream.reply.awaitsTrailers {
                worker.refuse(.upstreamResponse, client.address)
                dropTrailers(upstream)
            } else if answer.isCompressed {
                flushAnswer()
            }
        default: break
        }
    }

    /// The connection ended or broke before the answer was whole.
    func upstreamBroke() {
        guard let upstream else { return }
        let mayRetry =
            upstream.isReused && !upstream.reply.receivedAny && !retried && method.isIdempotent && body.isAbsent
            && !answer.began
        if mayRetry {
            upstream.close()
            self.upstream = nil
            retried = true
            return connect()
        }
        fail(.badGateway("It closed the connection before the answer was complete."))
    }

    /// An answer counts with the tunnels once it lasts: the container's places are for what it has yet to answer.
    func leaveExchangePlaceIfLong() {
        guard place == .exchange, answer.began, let pool, let upstream,
            worker.nowMs &- upstream.reply.beganMs > Self.longAnswerMs
        else { return }
        guard takeStream() else { return }
        if pool.moveToStreams(limit: worker.limits.upstream.streamsPerVMID, worker) {
            place = .stream
        } else {
            giveBackStream()
        }
    }

    /// Counts it among what holds a container's connection for long: one connection of HTTP/2 may carry many such, and
    /// each has a descriptor.
    private func takeStream() -> Bool {
        let ticket = client.connection.ticket
        guard worker.shared.takeStream(ticket) else { return false }
        streamTicket = ticket
        return true
    }

    private func giveBackStream() {
        guard let ticket = streamTicket else { return }
        streamTicket = nil
        worker.shared.giveBackStream(ticket)
    }

    /// From when on an answer counts as one that lasts.
    private static let longAnswerMs: UInt64 = 2000

    /// Lets go of the container: its place, and the connection if it may serve again.
    func releaseUpstream(reusable: Bool) {
        dropGzip()
        giveBackStream()
        if let upstream {
            self.upstream = nil
            if record.upstreamUs == nil { record.upstreamUs = loop.nowUs &- record.upstreamStartUs }
            if let pool, reusable, upstream.reply.keepAlive, upstream.inbound.isEmpty, !upstream.stream.isBlocked,
                upstream.stream.isQuiet, let route,
                judgedBy == worker.version || worker.snapshot.routes.route(for: vmid) == route
            {
                upstream.rest(in: pool)
            } else {
                upstream.close()
            }
        }
        if let pool {
            self.pool = nil
            let held = place
            place = .none
            pool.leave(held, self, worker)
        }
    }
}

/// The request's body.
extension Exchange {
    /// A body that has come whole before its head leaves has a length; one of no bytes is none (RFC 9112 section 6.2).
    private func measureBody() {
        guard body.framing == .chunked, let count = client.wholeBodyBytes else { return }
        body.framing = count > 0 ? .length(UInt64(count)) : .none
        body.remaining = UInt64(count)
        body.isComplete = count == 0
        replaceChunked(withLength: count, method, in: &outgoing)
    }

    /// Whether the container has the request to its last byte. If it answers before, it may take the rest for another
    /// request, so that the connection serves no other.
    func isSent(to upstream: UpstreamConnection) -> Bool {
        guard !abandonsBody, !upstream.stream.isBlocked else { return false }
        // Over HTTP/2 the stream's end may come after the last byte.
        if case .length(let count) = body.framing { return record.bytesIn == count }
        return body.isComplete
    }

    /// Passes a piece of the body on, framed anew; `false` when the container takes no more.
    func sendBody(_ bytes: borrowing Span<UInt8>) -> Bool {
        guard let upstream, !bytes.isEmpty else { return true }
        record.bytesIn &+= UInt64(bytes.count)
        // It stopped reading; its answer may still come, so the rest of the body is read and dropped.
        if abandonsBody { return true }
        var outcome: WriteOutcome
        if body.framing == .chunked {
            var framed = ByteBuffer()
            framed.reserve(bytes.count + 32, from: blocks)
            framed.append(hex: UInt64(bytes.count))
            framed.append("\r\n")
            framed.append(bytes)
            framed.append("\r\n")
            outcome = framed.withReadable { upstream.stream.send($0, blocks) }
            framed.removeAll()
            framed.recycle(into: blocks)
        } else {
            outcome = upstream.stream.send(bytes, blocks)
        }
        switch outcome {
        case .sent: break
        case .blocked: awaitAnswer()
        case .failed: abandonsBody = true
        }
        return true
    }

    /// The body is whole.
    func bodySent() {
        guard let upstream else { return }
        if body.framing == .chunked, !abandonsBody {
            let end: InlineArray<5, UInt8> = [0x30, 0x0d, 0x0a, 0x0d, 0x0a]
            if upstream.stream.send(end.span, blocks) == .failed { abandonsBody = true }
        }
        awaitAnswer()
    }

    /// The time for `limits.body` is over: was the client fast enough, given that we had room?
    func checkBodyRate() {
        let limits = worker.limits.body
        let waitedForClient =
            phase == .form || phase == .discarding
            || !(upstream?.stream.isBlocked ?? true) && worker.shared.memoryPressure < .noBodies && !client.isHeldUp
        guard waitedForClient, client.bodyWindow.bytes < limits.leastBytes else { return client.beginBodyWatch() }
        if phase == .discarding { return client.close(.bodyMinimumRate) }
        fail(.requestTimeout(.bodyMinimumRate))
    }
}
