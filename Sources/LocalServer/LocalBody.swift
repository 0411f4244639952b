import Wire

/// The body of one request, read piece by piece as the handler asks, so that its size costs no memory.
///
/// It lives on its connection's thread, while the handler runs.
public final class LocalBody {
    private enum State {
        case length(UInt64)
        case chunked(ChunkedDecoder)
        case trailers(HeadScan)
        case done
    }

    private let connection: LocalConnection
    private let fields = HeadFields(capacity: 16)
    private var expectsContinue: Bool
    private var state: State

    init(_ connection: LocalConnection, _ framing: BodyFraming, expectsContinue: Bool) {
        self.connection = connection
        self.expectsContinue = expectsContinue
        switch framing {
        case .length(let count) where count > 0: state = .length(count)
        case .chunked: state = .chunked(ChunkedDecoder())
        default: state = .done
        }
    }

    /// Waits for the next piece and lends it to `use`; returns whether the body is at its end, and then `use` was not
    /// called.
    public func next(_ use: (borrowing Span<UInt8>) throws -> Void) throws -> Bool {
        var failure: (any Error)?
        let isEnd = try step { bytes in
            do { try use(bytes) } catch { failure = error }
        }
        if let failure { throw failure }
        return isEnd
    }

    /// Reads the whole body, or refuses it with 413 when it is larger than `limit` bytes.
    public func collect(atMost limit: Int) throws(LocalError) -> [UInt8] {
        var collected: [UInt8] = []
        if case .length(let count) = state, count > UInt64(limit) { throw Self.tooLarge }
        while true {
            let isEnd = try step { bytes in
                for at in 0..<min(bytes.count, limit + 1 - collected.count) { collected.append(bytes[at]) }
            }
            if collected.count > limit { throw Self.tooLarge }
            if isEnd { return collected }
        }
    }

    /// Reads a rest of at most `limit` bytes and forgets it; whether that was all of it.
    func discard(atMost limit: Int) throws(LocalError) -> Bool {
        if case .length(let count) = state, count > UInt64(limit) { return false }
        // The client was never asked for it, so it may not come at all (RFC 9110 section 10.1.1).
        if expectsContinue, case .done = state {} else if expectsContinue { return false }
        var left = limit
        while left >= 0 {
            if try step({ left -= $0.count }) { return true }
        }
        return false
    }

    private static let tooLarge = LocalError.refused(status: 413, reason: "body too large")

    private func step(_ use: (borrowing Span<UInt8>) -> Void) throws(LocalError) -> Bool {
        if case .done = state { return true }
        if expectsContinue {
            expectsContinue = false
            if !connection.hasAnswered { try connection.sendContinue() }
        }
        while true {
            switch state {
            case .done: return true
            case .length(let left):
                try connection.withInput { input in
                    let count = Int(min(left, UInt64(input.count)))
                    input.withReadable { use($0.extracting(0..<count)) }
                    input.consume(count)
                    state = left == UInt64(count) ? .done : .length(left - UInt64(count))
                }
                return false
            case .chunked(var decoder):
                if try takeChunk(&decoder, use) { return false }
            case .trailers(var scan):
                try takeTrailers(&scan)
            }
        }
    }

    /// Whether a piece was lent.
    private func takeChunk(
        _ decoder: inout ChunkedDecoder, _ use: (borrowing Span<UInt8>) -> Void
    ) throws(LocalError) -> Bool {
        var lent = false
        try connection.withInput { (input) throws(LocalError) in
            let step = input.withReadable { decoder.next($0, from: 0) }
            state = .chunked(decoder)
            switch step {
            case .data(let range):
                input.withReadable { use($0.extracting(range)) }
                input.consume(range.upperBound)
                lent = true
            case .needMore(let consumed): input.consume(consumed)
            case .lastChunk(let consumed):
                input.consume(consumed)
                state = .trailers(HeadScan())
            case .malformed(let reason): throw .refused(status: 400, reason: "\(reason)")
            }
        }
        return lent
    }

    /// Trailers are checked and dropped.
    private func takeTrailers(_ scan: inout HeadScan) throws(LocalError) {
        var needsMore = false
        try connection.withInput { (input) throws(LocalError) in
            switch input.withReadable({ HTTP1.parseTrailers($0, scan: &scan, into: fields) }) {
            case .complete(let size):
                input.consume(size)
                state = .done
            case .partial:
                state = .trailers(scan)
                needsMore = true
            case .malformed(let defect): throw .refused(status: 400, reason: "\(defect.reason)")
            }
        }
        if needsMore { try connection.receiveMore() }
    }
}
