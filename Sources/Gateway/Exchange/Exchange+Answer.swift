import Limits
import Observe
import Reactor
import Transport
import Wire

/// From the container: heads, body, end; each read is passed on before the next one is made.
extension Exchange {
    /// The container's connection has something for us.
    func upstreamReadable() {
        guard let upstream else { return }
        if phase == .tunnel { return pumpTunnelToClient() }
        let client = self.client!
        var budget = 16
        while self.upstream === upstream, phase == .requesting || phase == .answering {
            // Backpressure: what the client cannot take stays with the container.
            if client.isBlocked {
                upstream.stream.readLess()
                client.inbound.recycle(into: blocks)
                return upstream.inbound.recycle(into: blocks)
            }
            if !upstream.inbound.isEmpty {
                guard passOn(upstream), !client.isBlocked else { continue }
                if self.upstream !== upstream { return }
            }
            // What is compressed takes ten times as long, and the loop has others to serve.
            budget -= answer.isCompressed ? 8 : 1
            if budget <= 0 {
                pushAnswer()
                loop.runAgain(upstream)
                return
            }
            switch upstream.read(for: client) {
            case .bytes: continue
            case .blocked:
                upstream.inbound.recycle(into: blocks)
                return flushAnswer()
            case .ended: return upstreamEnded(upstream)
            case .failed: return upstreamBroke()
            }
        }
    }

    /// The container pauses.
    func flushAnswer() {
        if answer.isCompressed, !flushCompressed() { return }
        pushAnswer()
    }

    private func pushAnswer() {
        let client = self.client!
        if client.isOpen, client.push() == .failed { client.lost() }
    }

    /// Passes on what is in `inbound`; whether more must be read to go on.
    private func passOn(_ upstream: UpstreamConnection) -> Bool {
        guard upstream.reply.sawHead else { return takeHead(upstream) }
        switch upstream.reply.framing {
        case .none: return true
        case .length: return takeLength(upstream)
        case .chunked: return upstream.reply.inTrailers ? takeTrailers(upstream) : takeChunks(upstream)
        case .untilClose: return takeAll(upstream)
        }
    }

    // MARK: Head

    private enum HeadStep {
        case partial
        case interim(bytes: Int)
        case final(ResponseHead)
        case failed(GatewayFailure)
    }

    private func takeHead(_ upstream: UpstreamConnection) -> Bool {
        let limits = HeadLimits(
            bytes: worker.limits.upstream.head, fields: worker.limits.upstream.fields, emptyLines: 0)
        var scan = upstream.scan
        let step = upstream.inbound.withReadable { bytes -> HeadStep in
            switch HTTP1.parseResponseHead(
                bytes, scan: &scan, into: worker.fields, limits: limits, answering: method, upgraded: isUpgrade)
            {
            case .partial: return .partial
            case .malformed(let defect): return .failed(badAnswer(defect))
            case .complete(let head): return look(at: head, bytes, upstream)
            }
        }
        upstream.scan = scan
        switch step {
        case .partial: return true
        case .failed(let failure):
            fail(failure)
            return false
        case .interim(let count):
            upstream.scan = HeadScan()
            upstream.inbound.consume(count)
            if client.push() == .failed { client.lost() }
            return false
        case .final(let head):
            upstream.inbound.consume(head.byteCount)
            began(head, upstream)
            return false
        }
    }

    private func badAnswer(_ defect: HeadDefect) -> GatewayFailure {
        switch defect {
        case .headTooLarge: worker.refuse(.upstreamHead, client.address)
        case .tooManyFields, .farTooManyFields: worker.refuse(.upstreamFields, client.address)
        default: break
        }
        return .badGateway("Its answer is not valid HTTP.")
    }

    /// Stages a head for the client. Nothing is closed in here: the bytes are lent.
    private func look(at head: ResponseHead, _ bytes: borrowing Span<UInt8>, _ upstream: UpstreamConnection) -> HeadStep
    {
        let (worker, client) = (self.worker, self.client!)
        do throws(GatewayFailure) {
            if head.isInterim {
                if !head.keepAlive { upstream.reply.saidClose = true }
                return try lookAtInterim(head, bytes)
            }
            if head.status == 101 {
                try checkUpgrade(head, bytes)
                client.staged.reserve(head.byteCount + 256, from: blocks)
                try rewriteInterim(
                    head, bytes, worker.fields, id: record.id, sendsHSTS: worker.settings.sendsHSTS,
                    into: &client.staged)
                return .final(head)
            }
            // Over HTTP/2 a 2xx would tell the client that it has its WebSocket (RFC 8441 section 5).
            if isUpgrade && client.httpProtocol == .h2 && head.status < 300 {
                throw .badGateway("It did not switch to WebSocket.")
            }
            // A WebSocket that is refused, or a body that still comes up while the answer goes down, ends the connection.
            if isUpgrade || !body.isComplete { client.closesAfterAnswer = true }
            if worker.fields.contains(.keepAlive) { upstream.noteKeepAlive(bytes, worker.fields) }
            let coding = takeCoding(head, bytes)
            let framing = answerFraming(head, coding)
            if framing == .untilClose { client.closesAfterAnswer = true }
            answer.framing = framing
            client.staged.reserve(head.byteCount + 512, from: blocks)
            try rewriteResponse(
                head, bytes, worker.fields,
                AnswerFacts(
                    id: record.id, framing: framing, coding: coding, connection: connectionField,
                    sendsHSTS: worker.settings.sendsHSTS,
                    keepsLength: framing == .length || keepsLengthWithoutBody(head),
                    keepsTrailerField: (framing == .chunked || framing == .frames) && wantsTrailers,
                    codesTag: head.status == 304 && namesRestoredTag(bytes), epochSeconds: loop.epochSeconds),
                into: &client.staged)
            return .final(head)
        } catch {
            client.staged.removeAll()
            answer = Answer()
            return .failed(error)
        }
    }

    private func lookAtInterim(_ head: ResponseHead, _ bytes: borrowing Span<UInt8>) throws(GatewayFailure) -> HeadStep
    {
        answer.interim += 1
        guard answer.interim <= worker.limits.upstream.interim else {
            worker.refuse(.upstreamInterim, client.address)
            throw .badGateway("It sent too many interim answers.")
        }
        let passes = head.status == 100 || head.status == 103
        if passes && minorVersion >= 1 {
            try rewriteInterim(
                head, bytes, worker.fields, id: record.id, sendsHSTS: false, into: &client.staged)
        }
        return .interim(bytes: head.byteCount)
    }

    private func answerFraming(_ head: ResponseHead, _ coding: Coding) -> AnswerFraming {
        switch head.framing {
        case .none: .none
        case .length where coding != .gzip: .length
        case _ where client.httpProtocol == .h2: .frames
        case .length, .chunked, .untilClose: minorVersion == 0 ? .untilClose : .chunked
        }
    }

    /// Whether the answer's tag is one that the client sent as compression had made it.
    private func namesRestoredTag(_ bytes: borrowing Span<UInt8>) -> Bool {
        guard !restoredTags.isEmpty, let tag = worker.fields.first(.etag) else { return false }
        return restoredTags.withReadable { EntityTag.isRestored(bytes.extracting(tag.valueRange), in: $0) }
    }

    /// HEAD and 304 say how long the body would be.
    private func keepsLengthWithoutBody(_ head: ResponseHead) -> Bool {
        head.framing == .none && head.status != 204 && (method == .head || head.status == 304)
    }

    private var connectionField: StaticString? {
        if client.httpProtocol == .h2 { return nil }
        if client.closesAfterAnswer || !keepsAlive || worker.isDraining { return "close" }
        return minorVersion == 0 ? "keep-alive" : nil
    }

    /// The final head is staged: from here the container's body follows.
    private func began(_ head: ResponseHead, _ upstream: UpstreamConnection) {
        loop.setDeadline(.max, for: upstream)
        if client.watch == .halfClosed { client.watch(.halfClosed, afterMs: 10_000) }
        // No retry sends it again.
        outgoing.removeAll()
        outgoing.recycle(into: blocks)
        answer.began = true
        answer.status = head.status
        record.status = head.status
        record.upstreamUs = loop.nowUs &- record.upstreamStartUs
        if head.status == 101 { return openTunnel() }
        phase = .answering
        upstream.reply.sawHead = true
        upstream.reply.framing = head.framing
        upstream.reply.beganMs = worker.nowMs
        upstream.reply.keepAlive = head.keepAlive && !upstream.reply.saidClose && isSent(to: upstream)
        switch head.framing {
        case .none: answerEnded()
        case .length(let count):
            upstream.reply.remaining = count
            if count == 0 { answerEnded() }
        case .chunked, .untilClose: break
        }
    }

    // MARK: Body

    private func takeLength(_ upstream: UpstreamConnection) -> Bool {
        let count = Int(min(UInt64(upstream.inbound.count), upstream.reply.remaining))
        let passed = passPayload(upstream, count)
        if passed < 0 { return false }
        upstream.reply.remaining -= UInt64(passed)
        guard upstream.reply.remaining == 0 else { return true }
        // Bytes behind the answer belong to nothing: the connection is not used again (see `releaseUpstream`).
        answerEnded()
        return false
    }

    private func takeAll(_ upstream: UpstreamConnection) -> Bool {
        passPayload(upstream, upstream.inbound.count) >= 0
    }

    private func takeChunks(_ upstream: UpstreamConnection) -> Bool {
        while true {
            if upstream.reply.chunkLeft > 0 {
                let passed = passPayload(upstream, min(upstream.reply.chunkLeft, upstream.inbound.count))
                if passed < 0 { return false }
                upstream.reply.chunkLeft -= passed
                // The client lags: what is left waits here.
                if client.isBlocked || upstream.inbound.isEmpty { return upstream.inbound.isEmpty }
            }
            var decoder = upstream.reply.decoder
            let step = upstream.inbound.withReadable { decoder.next($0, from: 0) }
            upstream.reply.decoder = decoder
            switch step {
            case .data(let range):
                upstream.inbound.consume(range.lowerBound)
                upstream.reply.chunkLeft = range.count
            case .needMore(let count):
                upstream.inbound.consume(count)
                return true
            case .lastChunk(let count):
                upstream.inbound.consume(count)
                upstream.reply.inTrailers = true
                upstream.scan = HeadScan()
                return false
            case .malformed:
                fail(.badGateway("Its chunked coding is broken."))
                return false
            }
        }
    }

    /// Passes on payload from the front of what the container sent; how much the client took, or -1 when it is lost.
    private func passPayload(_ upstream: UpstreamConnection, _ count: Int) -> Int {
        if answer.isCompressed { return compressPayload(upstream, count) }
        let before = upstream.inbound.count
        let outcome =
            answer.framing == .chunked
            ? sendChunk(&upstream.inbound, count) : client.send(&upstream.inbound, count)
        let passed = before - upstream.inbound.count
        record.bytesOut &+= UInt64(passed)
        guard outcome == .failed else { return passed }
        client.lost()
        return -1
    }

    private func takeTrailers(_ upstream: UpstreamConnection) -> Bool {
        var scan = upstream.scan
        let limit = HeadLimits(
            bytes: worker.limits.framing.trailers, fields: worker.limits.upstream.fields, emptyLines: 0)
        let keeps = wantsTrailers && (answer.framing == .chunked || answer.framing == .frames)
        // Behind the body goes nothing but trailers.
        if answer.isCompressed, endCompressed() != .sent { return false }
        // HTTP/2 tells a head from trailers by which comes first.
        if keeps, answer.framing == .frames, client.push() == .failed {
            client.lost()
            return false
        }
        let outcome = upstream.inbound.withReadable { bytes in
            let outcome = HTTP1.parseTrailers(bytes, scan: &scan, into: worker.fields, limits: limit)
            if keeps, case .complete = outcome { stageTrailers(bytes) }
            return outcome
        }
        upstream.scan = scan
        switch outcome {
        case .partial:
            if !upstream.reply.awaitsTrailers {
                upstream.reply.awaitsTrailers = true
                loop.setDeadline(worker.nowMs + UInt64(worker.limits.upstream.responseMs), for: upstream)
            }
            return true
        case .malformed(let defect):
            if case .trailersTooLarge = defect { worker.refuse(.framingTrailers, client.address) }
            dropTrailers(upstream)
            return false
        case .complete(let count):
            upstream.inbound.consume(count)
            answerEnded()
            return false
        }
    }

    /// The body is whole, and so is the answer. What is wrong with its trailers is left behind with the connection.
    func dropTrailers(_ upstream: UpstreamConnection) {
        upstream.reply.keepAlive = false
        answerEnded()
    }

    /// Trailers may add what is known late, never change framing, routing or state (RFC 9110 section 6.5.1).
    private func stageTrailers(_ bytes: borrowing Span<UInt8>) {
        if answer.framing == .chunked { client.staged.append("0\r\n") }
        for index in 0..<worker.fields.count {
            let field = worker.fields[index]
            switch field.name {
            case .other: client.staged.append(bytes, field.lineRange)
            // They tell of the container's bytes.
            case .etag, .digest: if !answer.isCompressed { client.staged.append(bytes, field.lineRange) }
            default: break
            }
        }
        if answer.framing == .chunked { client.staged.append("\r\n") }
        answer.sentLastChunk = true
    }

    /// A piece of a body whose length is not known.
    func sendChunk(_ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        guard count > 0 else { return client.isBlocked ? .blocked : .sent }
        client.staged.reserve(count + 32, from: blocks)
        client.staged.append(hex: UInt64(count))
        client.staged.append("\r\n")
        buffer.withReadable { client.staged.append($0.extracting(first: count)) }
        client.staged.append("\r\n")
        buffer.consume(count)
        if client.staged.count < Stream.smallRead { return client.isBlocked ? .blocked : .sent }
        return client.push()
    }

    // MARK: End

    private func upstreamEnded(_ upstream: UpstreamConnection) {
        upstream.reply.keepAlive = false
        if upstream.reply.sawHead, upstream.reply.framing == .untilClose { return answerEnded() }
        upstreamBroke()
    }

    /// The answer is whole.
    private func answerEnded() {
        let client = self.client!
        if answer.isCompressed {
            switch endCompressed() {
            case .sent: break
            case .failed: return
            case .blocked:
                // The container need not wait for a client that lags.
                answer.ending = .whole
                return releaseUpstream(reusable: true)
            }
        }
        if answer.framing == .chunked && !answer.sentLastChunk { client.staged.append("0\r\n\r\n") }
        if client.finish() == .failed { return client.lost() }
        completed()
    }

    /// The answer cannot be completed. The client gets all that came of it, and after that sees that it is not the whole.
    func breakOff() {
        if answer.isCompressed { endCompressedShort() }
        releaseUpstream(reusable: false)
        answer.ending = .broken
        cutBehindRest()
    }

    private func cutBehindRest() {
        let client = self.client!
        if answer.isCompressed {
            switch sendCompressed() {
            case .failed: return
            case .blocked where !compressed.isEmpty: return
            case .sent, .blocked: break
            }
        }
        if client.push() == .failed { return client.lost() }
        finishRecord()
        let (showsItsEnd, body) = (answer.framing != .untilClose, self.body)
        reset()
        client.cut(showsItsEnd: showsItsEnd, body)
    }

    /// The client took what waited after a stall, which had taken the place of what was watched before.
    func watchAgain() {
        switch phase {
        case .idle: if client.httpProtocol == .http1 { client.watch(.keepAlive, afterMs: worker.limits.keepAliveMs) }
        case .tunnel: checkTunnel()
        case .form, .requesting, .answering, .discarding: if !body.isComplete { client.beginBodyWatch() }
        case .queued, .connecting: break
        }
    }

    /// The client took what waited: go on reading from the container.
    func clientDrained() {
        if phase == .tunnel { return pumpTunnelToClient() }
        if upstream != nil { return upstreamReadable() }
        switch answer.ending {
        case .none: break
        case .whole: answerEnded()
        case .broken: cutBehindRest()
        }
    }
}
