/// Follows the frame headers of one direction of a WebSocket (RFC 6455 section 5.2), so that the gateway can put a
/// close frame of its own between two frames. Payload is skipped by arithmetic; nothing is validated, as the bytes are
/// the peers' affair.
public struct FrameTracker: Sendable {
    /// Payload bytes of the current frame still to come.
    private var payload: UInt64 = 0
    /// Length bytes read so far; more significant come first.
    private var length: UInt64 = 0
    private var lengthLeft: UInt8 = 0
    private var maskLeft: UInt8 = 0
    private var stage = Stage.start
    /// Whether a close frame has begun to pass.
    public private(set) var sawClose = false

    private enum Stage: UInt8 { case start, second, length, mask, payload }

    /// At the boundary before the first frame.
    public init() {}

    /// Whether no frame is under way.
    public var isAtBoundary: Bool { stage == .start }

    /// Takes note of bytes that pass.
    public mutating func advance(_ bytes: borrowing Span<UInt8>) {
        var at = 0
        while at < bytes.count { at = step(bytes, at) }
    }

    /// Where in `bytes`, the next to pass, the first frame boundary is: 0 when at one now, `bytes.count` when the last
    /// byte ends a frame, nil when none ends within.
    public func boundary(in bytes: borrowing Span<UInt8>) -> Int? {
        var copy = self
        var at = 0
        while !copy.isAtBoundary {
            guard at < bytes.count else { return nil }
            at = copy.step(bytes, at)
        }
        return at
    }

    /// Takes one header byte, or all payload there is, and gives the position behind it.
    private mutating func step(_ bytes: borrowing Span<UInt8>, _ at: Int) -> Int {
        let byte = bytes[at]
        switch stage {
        case .start:
            if byte & 15 == WebSocket.Opcode.close.rawValue { sawClose = true }
            stage = .second
        case .second:
            maskLeft = byte & 0x80 != 0 ? 4 : 0
            let short = byte & 0x7f
            length = short < 126 ? UInt64(short) : 0
            lengthLeft = short == 126 ? 2 : short == 127 ? 8 : 0
            settleHeader()
        case .length:
            length = length &<< 8 | UInt64(byte)
            lengthLeft &-= 1
            settleHeader()
        case .mask:
            maskLeft &-= 1
            settleHeader()
        case .payload:
            let here = UInt64(bytes.count &- at)
            if here < payload {
                payload &-= here
                return bytes.count
            }
            stage = .start
            return at &+ Int(truncatingIfNeeded: payload)
        }
        return at &+ 1
    }

    private mutating func settleHeader() {
        if lengthLeft > 0 {
            stage = .length
        } else if maskLeft > 0 {
            stage = .mask
        } else {
            payload = length
            stage = payload > 0 ? .payload : .start
        }
    }
}
