import Wire

/// Turns the bytes of a WebSocket client into messages (RFC 6455 section 5). No I/O: the owner feeds `input`.
struct WebSocketReader: ~Copyable {
    enum Event {
        case message(LocalWebSocket.Message)
        case ping([UInt8])
        case close(UInt16?)
        /// Nothing to report before more bytes come; whether a message has begun.
        case needsBytes(insideMessage: Bool)
    }

    /// A frame under way.
    private struct Frame {
        let opcode: UInt8
        let isFinal: Bool
        let mask: UInt32
        var left: Int
        var at = 0
    }

    var input: ByteBuffer
    private let messageBytes: Int
    private var frame: Frame?
    private var control: [UInt8] = []
    private var message: [UInt8] = []
    private var messageOpcode: UInt8?

    /// `early` came behind the handshake.
    init(early: [UInt8], messageBytes: Int) {
        input = ByteBuffer()
        input.append(early.span)
        self.messageBytes = messageBytes
    }

    /// The next event in `input`.
    mutating func next() throws(LocalError) -> Event {
        while true {
            if frame == nil {
                guard let header = try parseHeader() else {
                    return .needsBytes(insideMessage: messageOpcode != nil || !input.isEmpty)
                }
                frame = header
            }
            takePayload()
            guard let done = frame, done.left == 0 else { return .needsBytes(insideMessage: true) }
            frame = nil
            if let event = try finish(done) { return event }
        }
    }

    private mutating func finish(_ frame: Frame) throws(LocalError) -> Event? {
        switch frame.opcode {
        case 8: return .close(try closeCode())
        case 9:
            defer { control = [] }
            return .ping(control)
        case 10:
            control = []
            return nil
        default:
            guard frame.isFinal else { return nil }
            defer {
                message = []
                messageOpcode = nil
            }
            if messageOpcode == 2 { return .message(.binary(message)) }
            guard let text = String(validating: message, as: UTF8.self) else {
                throw .webSocket(code: 1007, reason: "text is not UTF-8")
            }
            return .message(.text(text))
        }
    }

    /// Section 7.4: what may be sent in a close frame; the echo carries the same code.
    private func closeCode() throws(LocalError) -> UInt16? {
        if control.isEmpty { return nil }
        guard control.count >= 2 else { throw .webSocket(code: 1002, reason: "half a close code") }
        let code = UInt16(control[0]) << 8 | UInt16(control[1])
        switch code {
        case 1000...1003, 1007...1014, 3000...4999: break
        default: throw .webSocket(code: 1002, reason: "no such close code")
        }
        guard String(validating: control[2...], as: UTF8.self) != nil else {
            throw .webSocket(code: 1007, reason: "close reason is not UTF-8")
        }
        return code
    }

    /// Section 5.2.
    private mutating func parseHeader() throws(LocalError) -> Frame? {
        let parsed = try input.withReadable { (bytes: borrowing Span<UInt8>) throws(LocalError) -> (Frame, Int)? in
            guard bytes.count >= 2 else { return nil }
            let opcode = bytes[0] & 15
            let isFinal = bytes[0] & 0x80 != 0
            let short = bytes[1] & 0x7f
            guard bytes[0] & 0x70 == 0 else { throw .webSocket(code: 1002, reason: "reserved bits") }
            guard bytes[1] & 0x80 != 0 else { throw .webSocket(code: 1002, reason: "unmasked frame") }
            try checkOrder(opcode, isFinal, short)
            let extra = short == 127 ? 8 : short == 126 ? 2 : 0
            guard bytes.count >= 6 + extra else { return nil }
            var length = extra == 0 ? UInt64(short) : 0
            for at in 2..<2 + extra { length = length << 8 | UInt64(bytes[at]) }
            guard extra == 0 || length > (extra == 2 ? 125 : 0xffff) else {
                throw .webSocket(code: 1002, reason: "length not in its shortest form")
            }
            guard length <= UInt64(messageBytes), message.count + Int(length) <= messageBytes else {
                throw .webSocket(code: 1009, reason: "message too large")
            }
            var mask: UInt32 = 0
            for at in 2 + extra..<6 + extra { mask = mask << 8 | UInt32(bytes[at]) }
            return (Frame(opcode: opcode, isFinal: isFinal, mask: mask, left: Int(length)), 6 + extra)
        }
        guard let (header, size) = parsed else { return nil }
        input.consume(size)
        if header.opcode == 1 || header.opcode == 2 { messageOpcode = header.opcode }
        return header
    }

    /// Sections 5.4 and 5.5: fragments follow their beginning, and control frames are whole and short.
    private func checkOrder(_ opcode: UInt8, _ isFinal: Bool, _ short: UInt8) throws(LocalError) {
        switch opcode {
        case 0: guard messageOpcode != nil else { throw .webSocket(code: 1002, reason: "nothing to continue") }
        case 1, 2: guard messageOpcode == nil else { throw .webSocket(code: 1002, reason: "message inside a message") }
        case 8, 9, 10:
            guard isFinal, short <= 125 else { throw .webSocket(code: 1002, reason: "control frame too large") }
        default: throw .webSocket(code: 1002, reason: "unknown opcode")
        }
    }

    /// Moves what is there of the frame's payload, unmasked, to its message.
    private mutating func takePayload() {
        guard var current = frame else { return }
        let count = min(current.left, input.count)
        var payload: [UInt8] = []
        if current.opcode < 8 { swap(&payload, &message) }
        input.withReadable { bytes in
            for at in 0..<count {
                let shift = UInt32(24 - 8 * ((current.at &+ at) & 3))
                payload.append(bytes[at] ^ UInt8(truncatingIfNeeded: current.mask >> shift))
            }
        }
        if current.opcode < 8 { swap(&payload, &message) } else { control += payload }
        input.consume(count)
        current.at += count
        current.left -= count
        frame = current
    }
}
