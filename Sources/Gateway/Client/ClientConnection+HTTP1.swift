import Limits
import Observe
import Reactor
import Transport
import Wire

/// HTTP/1.1 with the client: heads one after the other, bodies upwards.
extension ClientConnection {
    private static let stepsPerTurn = 32

    /// Goes on with the requests, or the tunnel, as far as the bytes at hand allow.
    func advanceHTTP1() {
        var steps = 0
        while phase == .open {
            steps += 1
            if steps > Self.stepsPerTurn {
                loop.runAgain(self)
                return
            }
            let goesOn: Bool
            switch exchange.phase {
            case .idle: goesOn = nextHead()
            case .form: goesOn = takeForm()
            case .requesting, .answering: goesOn = !exchange.body.isComplete && passBodyOn()
            case .discarding: goesOn = dropBody()
            case .tunnel: return exchange.pumpTunnelToUpstream()
            case .queued, .connecting: goesOn = false
            }
            if !goesOn { return }
        }
    }

    /// The exchange is over: on to the next request, or the end.
    func answeredHTTP1(unread: Bool) {
        let closes = closesAfterAnswer || !exchange.keepsAlive || worker.isDraining
        if unread && !closes {
            exchange.phase = .discarding
            beginBodyWatch()
            loop.runAgain(self)
            return
        }
        let body = exchange.body
        exchange.reset()
        if !closes { return becameIdle() }
        closePolitely(nil, farewell(behind: body))
    }

    /// What is due when the connection ends with the answer to a request of this body.
    func farewell(behind body: RequestBody) -> Farewell {
        if body.isComplete || worker.isDraining { return .plain }
        if case .length = body.framing { return .refusedBody(body.remaining) }
        return .refusedBody(nil)
    }

    /// The connection waits for its next request.
    private func becameIdle() {
        let worker = self.worker
        idleSinceMs = worker.nowMs
        exchange.record.becameIdle()
        if stream.isBlocked { watchStall() } else { watch(.keepAlive, afterMs: worker.limits.keepAliveMs) }
        // What follows may be here already: pipelined, or told by an edge that will not come again.
        if inbound.isEmpty { inbound.recycle(into: blocks) }
        if !inbound.isEmpty || !stream.hasNothingToRead { loop.runAgain(self) }
    }

    // MARK: Heads

    private enum Step {
        case partial, malformed(HeadDefect), plan(Exchange.Plan, head: Int)
    }

    private func nextHead() -> Bool {
        if stream.isBlocked { return false }
        if let refusedHead { return awaitRestOfHead(refusedHead) }
        if inbound.isEmpty {
            guard readMore() else { return false }
        }
        let (worker, exchange) = (self.worker, self.exchange!)
        let isFirstLook = watch != .head
        if isFirstLook { exchange.record.begin(worker) }
        let limits = HeadLimits(
            bytes: worker.limits.headers.bytes, fields: worker.limits.headers.fields,
            emptyLines: worker.limits.framing.emptyLines)
        var scan = self.scan
        let step = inbound.withReadable { bytes -> Step in
            switch HTTP1.parseRequestHead(bytes, scan: &scan, into: worker.fields, limits: limits) {
            case .partial: return .partial
            case .malformed(let defect): return .malformed(defect)
            case .complete(let head):
                return .plan(exchange.begin(head, bytes, worker.fields), head: head.byteCount)
            }
        }
        self.scan = scan
        switch step {
        case .partial:
            if isFirstLook {
                let spentMs = watch == .opening ? Int(worker.nowMs &- idleSinceMs) : 0
                watch(.head, afterMs: max(1, worker.limits.headers.timeoutMs - spentMs))
            }
            return readMore()
        case .malformed(let defect):
            refuseHead(defect)
            return true
        case .plan(let plan, let count):
            self.scan = HeadScan()
            inbound.consume(count)
            watch(.none)
            exchange.perform(plan)
            return true
        }
    }

    private func refuseHead(_ defect: HeadDefect) {
        let failure = GatewayFailure(defect)
        guard case .headTooLarge = defect else { return answerRefused(failure) }
        refusedHead = failure
        watch(.head, afterMs: Self.restOfHeadMs)
    }

    /// What a browser sends at once has come by then.
    private static let restOfHeadMs = 250

    /// Reads on in a head that is too large, up to twice the limit; whether to go on.
    private func awaitRestOfHead(_ failure: GatewayFailure) -> Bool {
        while inbound.count < worker.limits.headers.bytes * 2, !inbound.withReadable(Self.endsHead) {
            switch stream.read(into: &inbound, limit: Stream.smallRead, blocks) {
            case .bytes: continue
            case .blocked: return false
            case .ended, .failed: break
            }
            break
        }
        answerRefused(failure)
        return true
    }

    private static func endsHead(_ bytes: borrowing Span<UInt8>) -> Bool {
        bytes.count >= 4 && HTTPSpan.equal(bytes.extracting(bytes.count - 4..<bytes.count), "\r\n\r\n")
    }

    private func answerRefused(_ refused: GatewayFailure) {
        let failure = inbound.withReadable { exchange.refusal(refused, of: $0) }
        if failure.status == 400, !inbound.withReadable(Self.isTURN) { exchange.penalise(.malformed) }
        refusedHead = nil
        watch(.none)
        closesAfterAnswer = true
        inbound.removeAll()
        exchange.fail(failure)
    }

    /// Whether this is what a browser says to a TURN server (RFC 8489 section 5): any page can send one to us, over TLS.
    private static func isTURN(_ bytes: borrowing Span<UInt8>) -> Bool {
        bytes.count >= 8 && bytes[0] < 4 && bytes[4] == 0x21 && bytes[5] == 0x12 && bytes[6] == 0xa4 && bytes[7] == 0x42
    }

    /// The head does not come to its end.
    func headTookTooLong() { answerRefused(refusedHead ?? .requestTimeout(.headersTimeout)) }

    // MARK: Bodies

    /// Moves body bytes to the container; whether there is more to do.
    private func passBodyOn() -> Bool {
        guard let upstream = exchange.upstream, upstream.phase == .serving else { return false }
        if upstream.stream.isBlocked {
            stream.readLess()
            inbound.recycle(into: blocks)
            exchange.outgoing.recycle(into: blocks)
            return false
        }
        if worker.shared.memoryPressure >= .noBodies { return false }
        if inbound.isEmpty {
            guard readMore() else { return false }
        }
        switch takeBody({ exchange.sendBody($0) }) {
        case .moved: return true
        case .needsMore: return readMore()
        case .complete:
            // A client that takes nothing of an answer under way stays watched.
            if watch == .body { watch(.none) }
            exchange.bodySent()
            return false
        case .malformed(let reason, let what):
            penalise(.malformed)
            exchange.fail(.badRequest(what, reason))
            return true
        case .refused: return true
        }
    }

    /// The small body of a launch form.
    private func takeForm() -> Bool {
        if inbound.isEmpty {
            guard readMore(limit: Stream.smallRead) else { return false }
        }
        var fits = true
        switch takeBody({
            fits = exchange.takeForm($0) && fits
            return fits
        }) {
        case .moved: return true
        case .needsMore: return readMore(limit: Stream.smallRead)
        case .complete:
            watch(.none)
            exchange.launchByForm()
            return true
        case .malformed(let reason, let what):
            penalise(.malformed)
            exchange.fail(.badRequest(what, reason))
            return true
        case .refused:
            exchange.fail(.payloadTooLarge)
            return true
        }
    }

    /// What is left of a body whose answer is out already.
    private func dropBody() -> Bool {
        if inbound.isEmpty {
            guard readMore(limit: Stream.smallRead) else { return false }
        }
        switch takeBody({ _ in true }) {
        case .moved: return true
        case .needsMore: return readMore(limit: Stream.smallRead)
        case .complete:
            exchange.reset()
            guard closesAfterAnswer || worker.isDraining else {
                becameIdle()
                return true
            }
            closePolitely(nil)
            return false
        case .malformed, .refused:
            closePolitely(nil)
            return false
        }
    }

    private enum BodyStep {
        case moved, needsMore, complete, malformed(RefusalReason, StaticString), refused
    }

    /// Takes one piece of the body from `inbound` and gives its payload to `sink`, which says whether it took it.
    private func takeBody(_ sink: (borrowing Span<UInt8>) -> Bool) -> BodyStep {
        var body = exchange.body
        defer { exchange.body = body }
        var consumed = 0
        var step = BodyStep.moved
        if body.inTrailers {
            step = takeTrailers(&body, &consumed)
        } else if body.framing == .chunked {
            inbound.withReadable { bytes in
                switch body.decoder.next(bytes, from: 0) {
                case .data(let range):
                    if !sink(bytes.extracting(range)) { step = .refused }
                    consumed = range.upperBound
                case .needMore(let count):
                    consumed = count
                    step = .needsMore
                case .lastChunk(let count):
                    consumed = count
                    body.inTrailers = true
                    scan = HeadScan()
                case .malformed(let what): step = .malformed(RefusalReason(body.decoder.exceeded), what)
                }
            }
        } else {
            consumed = Int(min(UInt64(inbound.count), body.remaining))
            inbound.withReadable { bytes in
                if !sink(bytes.extracting(first: consumed)) { step = .refused }
            }
            body.remaining -= UInt64(consumed)
            if body.remaining == 0 {
                body.isComplete = true
                if case .moved = step { step = .complete }
            } else if case .moved = step, inbound.count == consumed {
                step = .moved
            }
        }
        inbound.consume(consumed)
        bodyWindow.bytes &+= UInt64(consumed)
        return step
    }

    /// Request trailers are read and dropped.
    private func takeTrailers(_ body: inout RequestBody, _ consumed: inout Int) -> BodyStep {
        let limits = HeadLimits(
            bytes: worker.limits.framing.trailers, fields: worker.limits.headers.fields, emptyLines: 0)
        var scan = self.scan
        let outcome = inbound.withReadable { bytes in
            HTTP1.parseTrailers(bytes, scan: &scan, into: worker.fields, limits: limits)
        }
        self.scan = scan
        switch outcome {
        case .partial: return .needsMore
        case .malformed(let defect):
            if case .trailersTooLarge = defect { return .malformed(.framingTrailers, "The trailers are too large.") }
            return .malformed(.badRequest, defect.reason)
        case .complete(let count):
            consumed = count
            self.scan = HeadScan()
            body.isComplete = true
            return .complete
        }
    }
}

extension RefusalReason {
    /// What a body in chunks was refused for.
    fileprivate init(_ exceeded: ChunkedDecoder.Bound?) {
        switch exceeded {
        case .chunk: self = .framingChunkExtension
        case .body: self = .framingExtensions
        case nil: self = .badRequest
        }
    }
}
