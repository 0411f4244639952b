import Wire

@testable import Gateway

/// Lines of a head as they go over the wire.
func wire(_ lines: [String]) -> [UInt8] { Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) }

/// Lines of a request to the container of the tests, its Host included.
func request(_ line: String = "GET / HTTP/1.1", _ fields: [String] = [], host: String = "dev-1101.example.test")
    -> [UInt8]
{
    wire([line, "Host: \(host)"] + fields)
}

/// The fields of a browser's WebSocket handshake but for `Origin`.
let handshake = [
    "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]

/// Why a head of these tests is none.
struct BadHead: Error {
    let reason: String
}

func withRequest<R>(
    _ bytes: [UInt8], _ body: (RequestHead, borrowing Span<UInt8>, HeadFields) throws -> R
) throws -> R {
    let fields = HeadFields(capacity: 200)
    var scan = HeadScan()
    switch HTTP1.parseRequestHead(bytes.span, scan: &scan, into: fields) {
    case .complete(let head): return try body(head, bytes.span, fields)
    case .partial: throw BadHead(reason: "partial")
    case .malformed(let defect): throw BadHead(reason: "\(defect.reason)")
    }
}

func withAnswer<R>(
    _ bytes: [UInt8], to method: Method = .get, upgraded: Bool = false,
    _ body: (ResponseHead, borrowing Span<UInt8>, HeadFields) throws -> R
) throws -> R {
    let fields = HeadFields(capacity: 200)
    var scan = HeadScan()
    switch HTTP1.parseResponseHead(bytes.span, scan: &scan, into: fields, answering: method, upgraded: upgraded) {
    case .complete(let head): return try body(head, bytes.span, fields)
    case .partial: throw BadHead(reason: "partial")
    case .malformed(let defect): throw BadHead(reason: "\(defect.reason)")
    }
}

func string(_ buffer: borrowing ByteBuffer) -> String { buffer.withReadable { $0.text() } }

/// The lines of a rendered head without the empty one that ends it.
func lines(_ buffer: borrowing ByteBuffer) -> [String] {
    let text = string(buffer)
    guard text.hasSuffix("\r\n\r\n") else { return ["NO END: \(text)"] }
    // Not `components`: a CR and an LF are one character to Swift.
    return text.dropLast().split(separator: "\r\n", omittingEmptySubsequences: false).map(String.init)
}

let requestID = RequestID(high: 0x0123_4567_89ab_cdef, low: 0xfedc_ba98_7654_3210)
let requestIDText = "0123456789abcdeffedcba9876543210"
