import CNGHTTP2
import Wire

/// An answer's head, or its trailers, on the way from HTTP/1.1 lines to fields of HTTP/2. Used again for every answer.
@safe
struct AnswerFields: ~Copyable {
    private var bytes = ByteBuffer()
    private var places: [(name: Range<Int>, value: Range<Int>)] = []
    private var pairs: [nghttp2_nv] = unsafe []

    /// Reads `HTTP/1.1 200 OK` and the lines after it; gives the status, nil when it is no such head. 101 becomes the
    /// 200 with which HTTP/2 says that a tunnel is there (RFC 8441 section 5).
    mutating func readHead(_ head: borrowing Span<UInt8>) -> Int? {
        clear()
        guard head.count >= 14, HTTPSpan.hasPrefix(head, "HTTP/1."), head[8] == 0x20,
            let code = HTTPSpan.decimal(head.extracting(9..<12)), (100...999).contains(code)
        else { return nil }
        let end = HTTPSpan.find(0x0a, in: head, 12..<head.count)
        guard end < head.count else { return nil }
        let nameStart = bytes.count
        bytes.append(":status")
        let valueStart = bytes.count
        bytes.append(decimal: code == 101 ? 200 : code)
        places.append((nameStart..<valueStart, valueStart..<bytes.count))
        guard readLines(head, from: end &+ 1, isTunnel: code == 101) else { return nil }
        return Int(code)
    }

    /// Reads lines alone; false when one is malformed.
    mutating func readTrailers(_ lines: borrowing Span<UInt8>) -> Bool {
        clear()
        return readLines(lines, from: 0, isTunnel: false)
    }

    var isEmpty: Bool { places.isEmpty }

    /// Lends the fields in nghttp2's form.
    mutating func withPairs(_ body: (UnsafePointer<nghttp2_nv>?, Int) -> Int32) -> Int32 {
        unsafe pairs.removeAll(keepingCapacity: true)
        return bytes.withReadable { span in
            unsafe span.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return body(nil, 0) }
                let start = unsafe UnsafeMutablePointer(mutating: base)
                for (name, value) in places {
                    unsafe pairs.append(
                        nghttp2_nv(
                            name: start + name.lowerBound, value: start + value.lowerBound, namelen: name.count,
                            valuelen: value.count, flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)))
                }
                return unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
            }
        }
    }

    private mutating func clear() {
        if bytes.capacity > 4096 { bytes = ByteBuffer() } else { bytes.removeAll() }
        places.removeAll(keepingCapacity: true)
    }

    /// `Name: value CRLF` up to an empty line or the end.
    private mutating func readLines(_ lines: borrowing Span<UInt8>, from start: Int, isTunnel: Bool) -> Bool {
        var at = start
        while at < lines.count {
            let end = HTTPSpan.find(0x0a, in: lines, at..<lines.count)
            guard end < lines.count, end > at, lines[end &- 1] == 0x0d else { return false }
            let stop = end &- 1
            if stop == at { return true }
            let colon = HTTPSpan.find(UInt8(ascii: ":"), in: lines, at..<stop)
            guard colon < stop else { return false }
            let value = HTTPSpan.trimmed(lines, colon &+ 1..<stop)
            guard FieldText.isToken(lines.extracting(at..<colon)), FieldText.isValue(lines.extracting(value)) else {
                return false
            }
            append(lines.extracting(at..<colon), lines.extracting(value), isTunnel)
            at = end &+ 1
        }
        return true
    }

    private mutating func append(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>, _ isTunnel: Bool) {
        let nameStart = bytes.count
        bytes.append(lowercasing: name)
        let nameEnd = bytes.count
        if bytes.withReadable({ Self.isDropped($0.extracting(nameStart..<nameEnd), isTunnel) }) {
            bytes.dropLast(nameEnd &- nameStart)
            return
        }
        bytes.append(value)
        places.append((nameStart..<nameEnd, nameEnd..<bytes.count))
    }

    /// What speaks of an HTTP/1.1 connection (RFC 9113 section 8.2.2), or of HTTP/1.1's way to open a tunnel.
    private static func isDropped(_ name: borrowing Span<UInt8>, _ isTunnel: Bool) -> Bool {
        switch name.count {
        case 7: HTTPSpan.equal(name, "upgrade")
        case 10: HTTPSpan.equal(name, "connection") || HTTPSpan.equal(name, "keep-alive")
        case 14: isTunnel && HTTPSpan.equal(name, "content-length")
        case 16: HTTPSpan.equal(name, "proxy-connection")
        case 17: HTTPSpan.equal(name, "transfer-encoding")
        case 20: isTunnel && HTTPSpan.equal(name, "sec-websocket-accept")
        default: false
        }
    }
}
