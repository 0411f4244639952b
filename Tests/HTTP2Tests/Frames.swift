import CNGHTTP2
import HTTP2

/// One frame as it is on the wire.
struct Frame: Equatable {
    var type: UInt8
    var flags: UInt8 = 0
    var id: UInt32 = 0
    var payload: [UInt8] = []

    var bytes: [UInt8] {
        [
            UInt8(payload.count >> 16), UInt8(payload.count >> 8 & 255), UInt8(payload.count & 255), type, flags,
            UInt8(id >> 24), UInt8(id >> 16 & 255), UInt8(id >> 8 & 255), UInt8(id & 255),
        ] + payload
    }

    static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    /// What every client says first.
    static var hello: [UInt8] { preface + settings().bytes }

    static func settings(_ entries: [(UInt16, UInt32)] = []) -> Frame {
        Frame(type: 4, payload: entries.flatMap { word(UInt32($0.0)).suffix(2) + word($0.1) })
    }
    static let settingsAck = Frame(type: 4, flags: 1)
    static func ping() -> Frame { Frame(type: 6, payload: [UInt8](repeating: 7, count: 8)) }
    static func reset(_ id: UInt32, _ code: HTTP2Error = .cancel) -> Frame {
        Frame(type: 3, id: id, payload: word(code.rawValue))
    }
    static func windowUpdate(_ id: UInt32, _ count: UInt32) -> Frame { Frame(type: 8, id: id, payload: word(count)) }
    static func priority(_ id: UInt32) -> Frame { Frame(type: 2, id: id, payload: [0, 0, 0, 0, 15]) }
    static func priorityUpdate(_ id: UInt32, _ text: String) -> Frame {
        Frame(type: 16, payload: word(id) + Array(text.utf8))
    }
    static func goAway() -> Frame { Frame(type: 7, payload: word(0) + word(0)) }
    static func data(_ id: UInt32, _ payload: [UInt8], ends: Bool = false) -> Frame {
        Frame(type: 0, flags: ends ? 1 : 0, id: id, payload: payload)
    }
    static func padded(_ id: UInt32, _ payload: [UInt8], padding: Int, ends: Bool = false) -> Frame {
        Frame(
            type: 0, flags: ends ? 9 : 8, id: id,
            payload: [UInt8(padding)] + payload + [UInt8](repeating: 0, count: padding))
    }
    static func headers(_ id: UInt32, _ fields: [(String, String)], ends: Bool = true, complete: Bool = true) -> Frame {
        Frame(type: 1, flags: (ends ? 1 : 0) | (complete ? 4 : 0), id: id, payload: block(fields))
    }
    static func continuation(_ id: UInt32, _ fields: [(String, String)], complete: Bool = true) -> Frame {
        Frame(type: 9, flags: complete ? 4 : 0, id: id, payload: block(fields))
    }
    static func get(_ id: UInt32, _ path: String = "/", _ more: [(String, String)] = [], ends: Bool = true) -> Frame {
        headers(id, request("GET", path) + more, ends: ends)
    }
    static func post(_ id: UInt32, _ more: [(String, String)] = []) -> Frame {
        headers(id, request("POST", "/") + more, ends: false)
    }

    static func request(_ method: String, _ path: String = "/") -> [(String, String)] {
        [(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path)]
    }

    /// Literals without indexing and without Huffman coding (RFC 7541 section 6.2.2).
    static func block(_ fields: [(String, String)]) -> [UInt8] {
        fields.flatMap { [0] + text($0.0) + text($0.1) }
    }

    static func word(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }

    private static func text(_ text: String) -> [UInt8] {
        // Latin-1, so that tests can say any byte.
        let bytes = text.unicodeScalars.map { UInt8($0.value) }
        if bytes.count < 127 { return [UInt8(bytes.count)] + bytes }
        var rest = bytes.count - 127
        var length: [UInt8] = [127]
        while rest >= 128 {
            length.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }

    /// The frames that `bytes` hold, which must be whole.
    static func parse(_ bytes: [UInt8]) -> [Frame] {
        var frames: [Frame] = []
        var at = 0
        while at + 9 <= bytes.count {
            let length = Int(bytes[at]) << 16 | Int(bytes[at + 1]) << 8 | Int(bytes[at + 2])
            let id = bytes[at + 5..<at + 9].reduce(UInt32(0)) { $0 << 8 | UInt32($1) } & 0x7fff_ffff
            frames.append(
                Frame(
                    type: bytes[at + 3], flags: bytes[at + 4], id: id,
                    payload: Array(bytes[at + 9..<at + 9 + length])))
            at += 9 + length
        }
        precondition(at == bytes.count)
        return frames
    }

    var endsStream: Bool { flags & 1 != 0 }
    /// The payload's 32 bits at `at`.
    func word(_ at: Int) -> UInt32 { payload[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) } }
}

/// Reads header blocks of one connection, in their order.
@safe
final class Inflater {
    private var inflater: OpaquePointer?

    init() { unsafe _ = nghttp2_hd_inflate_new(&inflater) }
    deinit { unsafe nghttp2_hd_inflate_del(inflater) }

    func fields(_ block: [UInt8]) -> [String] {
        var fields: [String] = []
        var at = 0
        while true {
            var pair = unsafe nghttp2_nv()
            var flags: Int32 = 0
            let rest = Array(block[at...])
            let count = unsafe nghttp2_hd_inflate_hd2(inflater, &pair, &flags, rest, rest.count, 1)
            guard count >= 0 else { return fields + ["error \(count)"] }
            at += count
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                let name = unsafe UnsafeBufferPointer(start: pair.name, count: pair.namelen)
                let value = unsafe UnsafeBufferPointer(start: pair.value, count: pair.valuelen)
                unsafe fields.append(
                    String(decoding: name, as: UTF8.self) + ": " + String(decoding: value, as: UTF8.self))
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 { break }
        }
        unsafe nghttp2_hd_inflate_end_headers(inflater)
        return fields
    }
}
