import Reactor
import Wire

extension LocalConnection {
    /// Sends a whole answer. `headers` come after the framing fields, which are ours; HEAD gets no body.
    public func respond(
        status: Int, contentType: String = "text/plain; charset=utf-8", headers: [(String, String)] = [],
        body: [UInt8]
    ) throws(LocalError) {
        try beginAnswer()
        var output = head(status: status, contentType: contentType, headers: headers)
        if status != 204 && status != 304 {
            output.append("content-length: ")
            output.append(decimal: UInt64(body.count))
            output.append("\r\n")
        }
        output.append("\r\n")
        if !isHead && status != 204 && status != 304 { output.append(body.span) }
        try send(output)
        endAnswer()
    }

    /// Sends a whole answer of text.
    public func respond(
        status: Int, contentType: String = "text/plain; charset=utf-8", headers: [(String, String)] = [],
        body: String
    ) throws(LocalError) {
        try respond(status: status, contentType: contentType, headers: headers, body: Array(body.utf8))
    }

    /// Sends an answer piece by piece. `length` in bytes when it is known; else it goes out in chunks. HEAD gets the
    /// head and `body` is not called. An error that `body` throws ends the connection, so that the peer can tell.
    public func stream(
        status: Int, contentType: String, headers: [(String, String)] = [], length: UInt64? = nil,
        _ body: (LocalResponseWriter) throws -> Void
    ) throws {
        try beginAnswer()
        var framing = LocalResponseWriter.Framing.chunked
        var output = head(status: status, contentType: contentType, headers: headers)
        if let length {
            framing = .length(length)
            output.append("content-length: ")
            output.append(decimal: length)
            output.append("\r\n\r\n")
        } else if isHTTP10 {
            // RFC 9112 section 6.1: no chunks to such a client; the end of the connection ends the body.
            framing = .untilClose
            keepsAlive = false
            output.append("\r\n")
        } else {
            output.append("transfer-encoding: chunked\r\n\r\n")
        }
        try send(output)
        if !isHead {
            let writer = LocalResponseWriter(self, framing)
            try body(writer)
            try writer.finish()
        }
        endAnswer()
    }

    private func head(status: Int, contentType: String, headers: [(String, String)]) -> ByteBuffer {
        var output = ByteBuffer(capacity: 512)
        output.append("HTTP/1.1 ")
        output.append(decimal: UInt64(clamping: status))
        output.append(" ")
        output.append(text: LocalStatus.reason(status))
        output.append("\r\n")
        if status != 204 && status != 304 {
            output.append("content-type: ")
            output.append(text: contentType)
            output.append("\r\n")
        }
        output.append("date: ")
        HTTPDate.append(epochSeconds: Clock.epochMs() / 1000, to: &output)
        output.append("\r\n")
        for (name, value) in headers {
            // A handler may pass on what a client sent; it must not be able to start another field.
            let safe = !(name + value).utf8.contains { $0 < 0x20 && $0 != 0x09 || $0 == 0x7f }
            guard safe else { continue }
            output.append(text: name)
            output.append(": ")
            output.append(text: value)
            output.append("\r\n")
        }
        if !keepsAlive {
            output.append("connection: close\r\n")
        } else if isHTTP10 {
            output.append("connection: keep-alive\r\n")
        }
        return output
    }
}

/// The body of a streamed answer. It lives while the closure given to `stream` runs.
public final class LocalResponseWriter {
    enum Framing {
        case chunked
        case length(UInt64)
        case untilClose
    }

    private let connection: LocalConnection
    private var framing: Framing

    init(_ connection: LocalConnection, _ framing: Framing) {
        self.connection = connection
        self.framing = framing
    }

    /// Sends some bytes of the body, at once.
    public func write(_ bytes: borrowing Span<UInt8>) throws(LocalError) {
        let count = bytes.count
        if count == 0 { return }
        switch framing {
        case .untilClose: try connection.send(bytes)
        case .length(let left):
            guard UInt64(count) <= left else { throw .misused("the body is longer than announced") }
            try connection.send(bytes)
            framing = .length(left - UInt64(count))
        case .chunked:
            var output = ByteBuffer(capacity: count + 32)
            output.append(hex: UInt64(count))
            output.append("\r\n")
            output.append(bytes)
            output.append("\r\n")
            try connection.send(output)
        }
    }

    /// Sends some text of the body, at once.
    public func write(_ text: String) throws(LocalError) {
        try write(Array(text.utf8).span)
    }

    /// Waits `ms`, or less when the peer goes away: then it throws.
    public func pause(ms: UInt64) throws(LocalError) {
        try connection.pause(ms: ms)
    }

    func finish() throws(LocalError) {
        switch framing {
        case .untilClose, .length(0): return
        case .length: throw .misused("the body is shorter than announced")
        case .chunked: try connection.send(Array("0\r\n\r\n".utf8).span)
        }
    }
}

/// Reason phrases (RFC 9110 section 15), for people who read along.
enum LocalStatus {
    static func reason(_ status: Int) -> String {
        switch status {
        case 100: "Continue"
        case 101: "Switching Protocols"
        case 200: "OK"
        case 201: "Created"
        case 204: "No Content"
        case 303: "See Other"
        case 304: "Not Modified"
        case 400: "Bad Request"
        case 401: "Unauthorized"
        case 403: "Forbidden"
        case 404: "Not Found"
        case 405: "Method Not Allowed"
        case 408: "Request Timeout"
        case 409: "Conflict"
        case 413: "Content Too Large"
        case 422: "Unprocessable Content"
        case 426: "Upgrade Required"
        case 431: "Request Header Fields Too Large"
        case 500: "Internal Server Error"
        case 501: "Not Implemented"
        case 503: "Service Unavailable"
        case 505: "HTTP Version Not Supported"
        default: "Other"
        }
    }
}
