import CNGHTTP2
import Wire

/// An answer's head, or its trailers, from HTTP/1.1 lines to fields of HTTP/2. These point into the lines: nghttp2 takes
/// copies and makes the names small. Used again for every answer.
@safe
struct AnswerFields: ~Copyable {
    private var pairs: [nghttp2_nv] = unsafe []
    /// A unique field was sent, so that HPACK's table holds its name.
    private var isNameKnown = false

    /// Lends the fields of `HTTP/1.1 200 OK` and the lines after it, with the status. False when it is no such head or
    /// `body` gives an error. 101 becomes the 200 with which HTTP/2 says that a tunnel is there (RFC 8441 section 5).
    mutating func withHead(
        _ head: borrowing Span<UInt8>, _ body: (Int, UnsafePointer<nghttp2_nv>?, Int) -> Int32
    ) -> Bool {
        guard head.count >= 14, HTTPSpan.hasPrefix(head, "HTTP/1."), head[8] == 0x20,
            let code = HTTPSpan.decimal(head.extracting(9..<12)), (100...999).contains(code)
        else { return false }
        let end = HTTPSpan.find(0x0a, in: head, 12..<head.count)
        guard end < head.count else { return false }
        let isTunnel = code == 101
        return unsafe head.withUnsafeBufferPointer { bytes in
            guard let base = bytes.baseAddress else { return false }
            defer { unsafe pairs.removeAll(keepingCapacity: true) }
            let status = unsafe isTunnel ? Self.tunnelStatus.utf8Start : base + 9
            unsafe pairs.append(Self.pair(Self.statusName.utf8Start, Self.statusName.utf8CodeUnitCount, status, 3))
            guard unsafe addLines(bytes.span, base, from: end &+ 1, isTunnel: isTunnel) else { return false }
            return unsafe pairs.withUnsafeBufferPointer { unsafe body(Int(code), $0.baseAddress, $0.count) } == 0
        }
    }

    /// Lends the fields of lines alone; false when one is malformed or `body` gives an error.
    mutating func withTrailers(
        _ lines: borrowing Span<UInt8>, _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Int32
    ) -> Bool {
        unsafe lines.withUnsafeBufferPointer { bytes in
            defer { unsafe pairs.removeAll(keepingCapacity: true) }
            if let base = bytes.baseAddress {
                guard unsafe addLines(bytes.span, base, from: 0, isTunnel: false) else { return false }
            }
            return unsafe pairs.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) } == 0
        }
    }

    private static let statusName: StaticString = ":status"
    private static let tunnelStatus: StaticString = "200"

    /// Adds the lines up to an empty one or the end; `base` is where `lines` begin. False when one is malformed.
    private mutating func addLines(
        _ lines: borrowing Span<UInt8>, _ base: UnsafePointer<UInt8>, from start: Int, isTunnel: Bool
    ) -> Bool {
        var at = start
        while at < lines.count {
            guard let line = FieldLine(lines, at: at) else {
                return lines.count &- at >= 2 && lines[at] == 0x0d && lines[at &+ 1] == 0x0a
            }
            at = line.end
            let name = lines.extracting(line.name)
            if Self.isDropped(name, isTunnel) { continue }
            let isUnique = HTTPSpan.equalsIgnoringCase(name, "x-request-id")
            unsafe pairs.append(
                Self.pair(
                    base + line.name.lowerBound, line.name.count, base + line.value.lowerBound, line.value.count,
                    isIndexed: !(isUnique && isNameKnown)))
            if isUnique { isNameKnown = true }
        }
        return true
    }

    /// `isIndexed`: HPACK's table may keep it. Values that no other answer has would push out all those that come again,
    /// and each would be compared with every one of them.
    private static func pair(
        _ name: UnsafePointer<UInt8>, _ nameCount: Int, _ value: UnsafePointer<UInt8>, _ valueCount: Int,
        isIndexed: Bool = true
    ) -> nghttp2_nv {
        unsafe nghttp2_nv(
            name: UnsafeMutablePointer(mutating: name), value: UnsafeMutablePointer(mutating: value),
            namelen: nameCount, valuelen: valueCount,
            flags: UInt8((isIndexed ? NGHTTP2_NV_FLAG_NONE : NGHTTP2_NV_FLAG_NO_INDEX).rawValue))
    }

    /// What speaks of an HTTP/1.1 connection (RFC 9113 section 8.2.2), or of HTTP/1.1's way to open a tunnel.
    private static func isDropped(_ name: borrowing Span<UInt8>, _ isTunnel: Bool) -> Bool {
        switch name.count {
        case 7: HTTPSpan.equalsIgnoringCase(name, "upgrade")
        case 10: HTTPSpan.equalsIgnoringCase(name, "connection") || HTTPSpan.equalsIgnoringCase(name, "keep-alive")
        case 14: isTunnel && HTTPSpan.equalsIgnoringCase(name, "content-length")
        case 16: HTTPSpan.equalsIgnoringCase(name, "proxy-connection")
        case 17: HTTPSpan.equalsIgnoringCase(name, "transfer-encoding")
        case 20: isTunnel && HTTPSpan.equalsIgnoringCase(name, "sec-websocket-accept")
        default: false
        }
    }
}
