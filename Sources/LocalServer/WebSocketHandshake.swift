import Crypto
import Wire

/// The server's half of the opening handshake (RFC 6455 section 4.2.2).
enum WebSocketHandshake {
    /// The value of `Sec-WebSocket-Accept`, or the refusal.
    static func accept(_ request: LocalRequest) throws(LocalError) -> String {
        guard request.header("upgrade", lists: "websocket") else {
            throw .refused(status: 426, reason: "this is a WebSocket")
        }
        guard request.header("sec-websocket-version") == "13" else {
            throw .refused(status: 426, reason: "WebSocket version 13, please")
        }
        guard request.isWebSocketUpgrade, let key = request.header("sec-websocket-key") else {
            throw .refused(status: 400, reason: "malformed WebSocket handshake")
        }
        return acceptValue(for: key)
    }

    /// Section 1.3.
    static func acceptValue(for key: String) -> String {
        var value = ByteBuffer(capacity: 32)
        Digest.webSocketAccept(key: key.utf8Span.span, into: &value)
        return value.withReadable { $0.text() }
    }
}
