import HTTP2
import Limits
import Observe
import Reactor
import Transport
import Wire

/// What leaves: the turn's end, bulk, and whose turn it is.
extension HTTP2Connection {
    /// The stream has something for the session.
    func willSend(_ stream: HTTP2Stream) {
        awaitSettling(stream)
        comeBack()
    }

    private func awaitSettling(_ stream: HTTP2Stream) {
        guard !stream.awaitsSettling else { return }
        stream.awaitsSettling = true
        submitters.append(stream)
    }

    func comeBack() {
        guard !awaitsTurnEnd else { return }
        awaitsTurnEnd = true
        worker.awaitTurnEnd(self)
    }

    /// The turn is over: requests begin, what there is to say leaves.
    func turnEnded() {
        awaitsTurnEnd = false
        guard client.phase == .open else { return }
        if !arrived.isEmpty {
            let fresh = arrived
            arrived.removeAll(keepingCapacity: true)
            for stream in fresh where stream.http2 === self { stream.start() }
        }
        guard client.phase == .open else { return }
        flush()
    }

    /// Sends what the session has, as far as the kernel takes it.
    private func flush() {
        guard !client.stream.isBlocked else { return watch() }
        var nothing = ByteBuffer()
        var outcome = WriteOutcome.sent
        while outcome == .sent && session.wantsToSend {
            let before = client.stream.bytesWritten
            guard emit(nil, &nothing) else { return client.lost() }
            outcome = client.pushGathered()
            if client.stream.bytesWritten == before { break }
        }
        if outcome == .failed { return client.lost() }
        while let event = session.takeEvent() { noteSent(event) }
        countRefusals()
        settle()
        let submitters = self.submitters
        self.submitters.removeAll(keepingCapacity: true)
        for stream in submitters where stream.http2 === self { stream.settle() }
        if session.isFinished || openStreams == 0 && isGoingAway { return client.closePolitely(nil) }
        // Not without saying which stream was the last.
        if openStreams == 0 && client.closesAfterAnswer { return goAway() }
        watch()
    }

    /// Limits that the session enforces by itself.
    private func countRefusals() {
        while counted.streams != session.refusedStreams {
            counted.streams += 1
            worker.refuse(.http2Streams, client.peer.address)
        }
        while counted.trailers != session.largeTrailers {
            counted.trailers += 1
            worker.refuse(.framingTrailers, client.peer.address)
        }
    }

    private func noteSent(_ event: HTTP2Event) {
        let none = ByteBuffer()
        none.withReadable { note(event, $0) }
    }

    /// About how many bytes of a stream would leave at once.
    func sendRoom(_ slot: Int) -> Int { min(session.sendWindow(slot), client.stream.sendRoom) }

    /// Sends up to `count` bytes from the front of `buffer`, behind what the stream has pending, and consumes what went.
    func send(_ stream: HTTP2Stream, _ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome {
        guard let slot = stream.slot else { return .failed }
        var left = count
        while left > 0 && !client.stream.isBlocked {
            session.setAvailable(slot, stream.pending.count + left, ends: false)
            let before = (held: buffer.count, written: client.stream.bytesWritten)
            guard emit(stream, &buffer), client.pushGathered() != .failed else { return .failed }
            left -= before.held - buffer.count
            // More urgent streams may take a whole round for themselves.
            if client.stream.bytesWritten == before.written { break }
        }
        session.setAvailable(slot, stream.pending.count, ends: false)
        comeBack()
        if left == 0 {
            stream.tookAll()
            return client.stream.isBlocked ? .blocked : .sent
        }
        if !client.stream.isBlocked { stream.windowIsShut() }
        return .blocked
    }

    /// Moves what may leave now from session and streams to the connection, in the session's order: the most urgent
    /// stream first (RFC 9218). `lender`'s DATA comes from `buffer`.
    func emit(_ lender: HTTP2Stream?, _ buffer: inout ByteBuffer) -> Bool {
        let most = worker.readLimit(next: buffer.count, room: client.stream.sendRoom)
        session.collect(limit: max(0, min(worker.limits.http2.queued, most) - client.stream.pendingBytes))
        while let piece = session.takePiece() {
            switch piece {
            case .frames(let range):
                guard session.withOutput({ client.gather($0.extracting(range)) }) else { return false }
            case .data(let slot, let header, let count, let ends):
                guard let stream = stream(slot) else { return false }
                if ends || stream.isCutShort { awaitSettling(stream) }
                let own = min(count, stream.pending.count)
                if own == 0 && stream === lender {
                    stream.noteProgress(count)
                    guard client.enqueueFrame(header, &buffer, count) else { return false }
                    continue
                }
                guard client.gather(header.bytes.span),
                    stream.pending.withReadable({ client.gather($0.extracting(first: own)) })
                else { return false }
                stream.sent(own, isLending: stream === lender)
                if own < count {
                    guard stream === lender, count - own <= buffer.count,
                        buffer.withReadable({ client.gather($0.extracting(first: count - own)) })
                    else { return false }
                    buffer.consume(count - own)
                }
            }
        }
        return true
    }

    /// The client took all that waited.
    func drained() {
        comeBack()
        resumeStreams()
    }

    /// Lets streams go on that waited for the client: the more urgent first, those of one urgency in turn.
    func resumeStreams() {
        var urgencies: UInt8 = 0
        for slot in streams.indices where streams[slot] != nil { urgencies |= 1 << (session.urgency(slot).urgency & 7) }
        let count = streams.count
        let first = nextSlot
        for urgency in UInt8(0)..<8 where urgencies & 1 << urgency != 0 {
            for offset in 0..<count {
                let slot = (first + offset) % count
                guard let stream = stream(slot), session.urgency(slot).urgency & 7 == urgency else { continue }
                if client.phase != .open || client.stream.isBlocked { return }
                nextSlot = slot + 1
                resume(stream)
            }
        }
    }

    func resume(_ stream: HTTP2Stream) {
        stream.windowOpened()
        if !stream.isFinished { stream.exchange.clientDrained() }
    }
}
