import CNGHTTP2
import Wire

extension HTTP2Session {
    /// Turns what was submitted into pieces, until these hold `limit` bytes of DATA or nothing is left that the client
    /// takes now. The streams' turn is by their urgency. May record events: a stream closes when its last frame is
    /// collected.
    ///
    /// Take the pieces before the events: once a `.closed` was taken its slot may stand for another stream, while a
    /// piece wants bytes of the old one. When all pieces were taken the next call, of this or of `receive`, forgets
    /// the output; those that are left come before the new ones.
    public func collect(limit: Int) { collect(limit) }

    /// The next piece to send, nil when all were taken.
    public func takePiece() -> HTTP2Piece? {
        guard piecesTaken < pieces.count else { return nil }
        let piece = pieces[piecesTaken]
        piecesTaken &+= 1
        return piece
    }

    /// Lends the bytes that `.frames` pieces point into, while a piece is left and until the next call of `collect` or
    /// `receive`.
    public func withOutput<R: ~Copyable, E: Error>(
        _ body: (borrowing Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        try output.withReadable(body)
    }

    /// Gives back the memory that only traffic needs, so that a connection which waits holds little. Call it when all
    /// events and pieces were taken and their bytes are used; otherwise it does nothing.
    public func releaseMemory() {
        guard eventsTaken == events.count, piecesTaken == pieces.count else { return }
        events = []
        eventsTaken = 0
        pieces = []
        piecesTaken = 0
        heads = ByteBuffer()
        output = ByteBuffer()
        answer = AnswerFields()
        block.releaseMemory()
    }

    /// Collects all frames but DATA.
    func collectFrames() { collect(0) }

    private func collect(_ limit: Int) {
        if piecesTaken == pieces.count {
            pieces.removeAll(keepingCapacity: true)
            piecesTaken = 0
            framesWaiting = 0
            if output.capacity > 16_384 { output = ByteBuffer() } else { output.removeAll() }
        }
        collected = 0
        collectLimit = limit
        while !isBroken {
            var frame: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &frame)
            if count > 0, let frame = unsafe frame {
                append(unsafe UnsafeBufferPointer(start: frame, count: count).span)
            } else if count < 0 {
                isBroken = true
            } else if trailersDue.isEmpty {
                break
            } else {
                submitDueTrailers()
            }
        }
        collectLimit = 0
    }

    private func append(_ frame: borrowing Span<UInt8>) {
        let start = output.count
        output.append(frame)
        framesWaiting &+= 1
        // Only what was not taken may grow.
        if piecesTaken < pieces.count, case .frames(let before) = pieces[pieces.count - 1], before.upperBound == start {
            pieces[pieces.count - 1] = .frames(before.lowerBound..<output.count)
        } else {
            pieces.append(.frames(start..<output.count))
        }
    }
}
