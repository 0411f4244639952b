import Reactor
import Synchronization
import Wire

/// The server's end of a WebSocket (RFC 6455), without extensions.
///
/// One thread reads messages; any thread may send and close.
public final class LocalWebSocket: Sendable {
    /// One whole message.
    public enum Message: Sendable, Equatable {
        /// Valid UTF-8.
        case text(String)
        /// Any bytes.
        case binary([UInt8])
    }

    private let socket: LocalSocket
    private let limits: LocalLimits
    private let reader: Mutex<WebSocketReader>
    private let sender = Mutex(Sender())

    private struct Sender {
        var closed = false
    }

    init(_ socket: LocalSocket, early: [UInt8], limits: LocalLimits) {
        self.socket = socket
        self.limits = limits
        reader = Mutex(WebSocketReader(early: early, messageBytes: limits.messageBytes))
    }

    /// Waits for the next message and answers pings meanwhile; `nil` once the peer has closed. A peer that breaks the
    /// protocol gets the close code it deserves, then this throws.
    public func readMessage() throws(LocalError) -> Message? {
        do throws(LocalError) {
            return try reader.withLock { (reader) throws(LocalError) -> Message? in
                while true {
                    switch try reader.next() {
                    case .message(let message): return message
                    case .ping(let payload): try send(opcode: 0xA, payload.span)
                    case .close(let code):
                        finish(code: code)
                        return nil
                    case .needsBytes(let insideMessage):
                        let deadline = insideMessage ? Clock.monotonicMs() + limits.stallMs : nil
                        if try socket.receive(into: &reader.input, until: deadline) == 0 { throw .closed }
                    }
                }
            }
        } catch {
            if case .webSocket(let code, _) = error { finish(code: code) } else { socket.shutdownBoth() }
            throw error
        }
    }

    /// Sends one text message.
    public func sendText(_ text: String) throws(LocalError) {
        try send(opcode: 1, Array(text.utf8).span)
    }

    /// Sends one binary message.
    public func sendBinary(_ bytes: borrowing Span<UInt8>) throws(LocalError) {
        try send(opcode: 2, bytes)
    }

    /// Sends one binary message.
    public func sendBinary(_ bytes: [UInt8]) throws(LocalError) {
        try send(opcode: 2, bytes.span)
    }

    /// Sends a close frame, waits a second at most for the peer to answer (which `readMessage` must be there to see)
    /// and ends the connection.
    public func close(code: UInt16 = 1000, reason: String = "") {
        sendClose(code: code, reason: reason)
        _ = socket.waitForHangUp(until: Clock.monotonicMs() + 1000)
        socket.shutdownBoth()
    }

    /// The closing handshake's second half: the server then closes first (RFC 6455 section 7.1.1).
    private func finish(code: UInt16?) {
        sendClose(code: code, reason: "")
        socket.linger()
    }

    private func sendClose(code: UInt16?, reason: String) {
        var payload: [UInt8] = []
        if let code {
            payload = [UInt8(code >> 8), UInt8(truncatingIfNeeded: code)] + reason.utf8.prefix(120)
        }
        try? send(opcode: 8, payload.span)
    }

    /// One frame, never masked, never fragmented. Nothing follows a close frame (section 5.5.1).
    private func send(opcode: UInt8, _ payload: borrowing Span<UInt8>) throws(LocalError) {
        let count = payload.count
        var frame = ByteBuffer(capacity: min(count, 64 * 1024) + 16)
        frame.append(0x80 | opcode)
        if count < 126 {
            frame.append(UInt8(count))
        } else if count <= 0xffff {
            frame.append(126)
            frame.append(UInt8(count >> 8))
            frame.append(UInt8(truncatingIfNeeded: count))
        } else {
            frame.append(127)
            for shift in stride(from: 56, through: 0, by: -8) {
                frame.append(UInt8(truncatingIfNeeded: UInt64(count) >> UInt64(shift)))
            }
        }
        let joined = count <= 64 * 1024
        if joined { frame.append(payload) }
        try sender.withLock { (sender) throws(LocalError) in
            guard !sender.closed else { throw .closed }
            if opcode == 8 { sender.closed = true }
            try frame.withReadable { (bytes: borrowing Span<UInt8>) throws(LocalError) in
                try socket.send(bytes, stallMs: limits.stallMs)
            }
            if !joined { try socket.send(payload, stallMs: limits.stallMs) }
        }
    }
}
