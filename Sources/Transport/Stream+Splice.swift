public import Reactor

/// Bulk between two plain streams without copying it through the process (splice(2)).
extension Stream {
    /// Fills an empty pipe with what has arrived, at most `limit` bytes. Only on a plain stream.
    public mutating func fill(_ pipe: Pipe, atMost limit: Int = .max) -> ReadOutcome {
        precondition(tls == nil)
        if isDrained && !peerClosed { return .blocked }
        switch pipe.fill(from: descriptor, atMost: limit) {
        case .moved(0): return .ended
        case .moved(let count):
            bytesRead &+= UInt64(count)
            return .bytes(count)
        case .wouldBlock:
            isDrained = true
            peerClosed = false
            return .blocked
        case .failed: return .failed
        }
    }

    /// Sends what is in the pipe, as far as the kernel takes it: `.blocked` when something is left. Only on a plain stream
    /// that is not blocked itself.
    public mutating func send(_ pipe: Pipe) -> WriteOutcome {
        precondition(tls == nil && !isBlocked)
        while pipe.count > 0 {
            switch pipe.empty(into: descriptor) {
            case .moved(let count): bytesWritten &+= UInt64(count)
            case .wouldBlock: return .blocked
            case .failed: return .failed
            }
        }
        return .sent
    }
}
