/// Constants of RFC 6455.
public enum WebSocket {
    /// What `Sec-WebSocket-Accept` hashes behind the key (section 1.3).
    public static let guid: StaticString = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

    /// A frame's kind (section 5.2).
    public enum Opcode: UInt8, Sendable, CaseIterable {
        case continuation = 0
        case text = 1
        case binary = 2
        case close = 8
        case ping = 9
        case pong = 10
    }
}

/// A close frame of the gateway's own.
public enum WebSocketClose {
    /// Appends a close frame as a server sends it, unmasked. `reason` is UTF-8 and at most 123 bytes (section 5.5).
    public static func append(code: UInt16, reason: StaticString, to output: inout ByteBuffer) {
        precondition(reason.utf8CodeUnitCount <= 123)
        output.append(0x80 | WebSocket.Opcode.close.rawValue)
        output.append(UInt8(truncatingIfNeeded: reason.utf8CodeUnitCount + 2))
        output.append(UInt8(truncatingIfNeeded: code >> 8))
        output.append(UInt8(truncatingIfNeeded: code))
        output.append(reason)
    }

    /// Whether `bytes`, the last that came from a client, end in a close frame of this code: the answer to ours. Where
    /// its frames begin is not known, so that the end is looked at; that other bytes look like it is next to impossible.
    public static func isAnswer(_ bytes: borrowing Span<UInt8>, to code: UInt16) -> Bool {
        // Header, mask and the code; then a reason of as many bytes as the length says.
        var start = bytes.count &- 8
        while start >= 0, start >= bytes.count &- 8 &- 123 {
            if bytes[start] == 0x80 | WebSocket.Opcode.close.rawValue,
                Int(bytes[start &+ 1]) == 0x80 | (bytes.count &- start &- 6),
                bytes[start &+ 6] ^ bytes[start &+ 2] == UInt8(truncatingIfNeeded: code >> 8),
                bytes[start &+ 7] ^ bytes[start &+ 3] == UInt8(truncatingIfNeeded: code)
            {
                return true
            }
            start &-= 1
        }
        return false
    }
}
