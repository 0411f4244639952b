import Glibc
import Reactor
import Testing
import Wire

@testable import LocalServer

/// A client that sends exactly the bytes it is told to, and reads with a deadline.
final class RawClient {
    struct Response {
        var status: Int
        var headers: [String: String]
        var body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    private let socket: LocalSocket
    private var input = ByteBuffer()

    init(port: UInt16) throws {
        socket = LocalSocket(try Socket.connect(high: 0, low: 0xffff_7f00_0001, port: port))
    }

    init(path: String) throws {
        let raw = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { unsafe $0.copyBytes(from: path.utf8) }
        let status = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe connect(raw, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(status == 0)
        _ = fcntl(raw, F_SETFL, O_NONBLOCK)
        socket = LocalSocket(FileDescriptor(raw))
    }

    func send(_ bytes: [UInt8]) throws { try socket.send(bytes.span, stallMs: 10_000) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    /// Sends a request head without a body; `fields` end with CRLF each.
    func get(_ target: String, _ fields: String = "") throws {
        try send("GET \(target) HTTP/1.1\r\nHost: demo\r\n\(fields)\r\n")
    }

    func closeWriting() { socket.shutdownWriting() }

    /// Exactly `count` bytes.
    func read(_ count: Int) throws -> [UInt8] {
        while input.count < count { try more() }
        defer { input.consume(count) }
        return input.withReadable { bytes in (0..<count).map { bytes[$0] } }
    }

    /// Everything up to and with `end`.
    func read(through end: String) throws -> String {
        let pattern = Array(end.utf8)
        while true {
            let bytes = input.withReadable { bytes in (0..<bytes.count).map { bytes[$0] } }
            var at = 0
            while at + pattern.count <= bytes.count {
                if Array(bytes[at..<at + pattern.count]) == pattern {
                    return String(decoding: try read(at + pattern.count), as: UTF8.self)
                }
                at += 1
            }
            try more()
        }
    }

    /// Whether the server has closed, and sent nothing more before.
    func isAtEnd() throws -> Bool {
        if !input.isEmpty { return false }
        return try socket.receive(into: &input, until: Clock.monotonicMs() + 10_000) == 0
    }

    func response(toHead: Bool = false) throws -> Response {
        let lines = try read(through: "\r\n\r\n").split(separator: "\r\n")
        var response = Response(
            status: Int(lines[0].split(separator: " ")[1]) ?? 0, headers: [:], body: [])
        for line in lines.dropFirst() {
            let colon = try #require(line.firstIndex(of: ":"))
            response.headers[line[..<colon].lowercased()] = String(line[line.index(colon, offsetBy: 2)...])
        }
        if toHead || response.status < 200 || response.status == 204 { return response }
        if response.headers["transfer-encoding"] == "chunked" {
            while true {
                let size = try #require(Int(try read(through: "\r\n").dropLast(1), radix: 16))
                response.body += try read(size)
                #expect(try read(2) == [13, 10])
                if size == 0 { return response }
            }
        }
        response.body = try read(Int(response.headers["content-length"] ?? "0") ?? 0)
        return response
    }

    // MARK: WebSocket

    func upgrade(_ target: String, _ fields: String = "") throws {
        try get(
            target,
            "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\(fields)")
        let response = try response()
        try #require(response.status == 101)
        // The example of RFC 6455 section 1.3.
        #expect(response.headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    /// One masked frame; `first` is its first byte.
    static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
        let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]
        let count = payload.count
        var bytes = [first]
        switch count {
        case ..<126: bytes.append(0x80 | UInt8(count))
        case ..<0x1_0000: bytes += [0xfe, UInt8(count >> 8), UInt8(count & 255)]
        default: bytes += [0xff] + (0..<8).map { UInt8(truncatingIfNeeded: count >> (56 - 8 * $0)) }
        }
        return bytes + mask + payload.enumerated().map { $1 ^ mask[$0 & 3] }
    }

    func sendFrame(_ first: UInt8, _ payload: [UInt8]) throws { try send(Self.frame(first, payload)) }

    /// One frame from the server: its first byte and its payload.
    func frame() throws -> (first: UInt8, payload: [UInt8]) {
        let head = try read(2)
        #expect(head[1] < 0x80)
        var length = Int(head[1])
        if length >= 126 { length = try read(length == 126 ? 2 : 8).reduce(0) { $0 << 8 | Int($1) } }
        return (head[0], try read(length))
    }

    private func more() throws {
        let count = try socket.receive(into: &input, until: Clock.monotonicMs() + 10_000)
        try #require(count > 0, "the server closed early")
    }
}
