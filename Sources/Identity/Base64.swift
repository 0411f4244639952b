internal import Wire

/// RFC 4648: base64url as JOSE and our cookies use it, and plain base64 for the WebSocket handshake.
enum Base64 {
    /// Base64url without padding.
    static func url(_ bytes: [UInt8]) -> String {
        String(decoding: urlBytes(bytes), as: UTF8.self)
    }

    static func urlBytes(_ bytes: [UInt8]) -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity((bytes.count * 4 + 2) / 3)
        var at = 0
        while at < bytes.count {
            let left = bytes.count - at
            let group =
                UInt32(bytes[at]) << 16 | (left > 1 ? UInt32(bytes[at + 1]) << 8 : 0)
                | (left > 2 ? UInt32(bytes[at + 2]) : 0)
            for place in 0..<min(left + 1, 4) {
                out.append(digit(UInt8(truncatingIfNeeded: group >> UInt32(18 - 6 * place)) & 63))
            }
            at += 3
        }
        return out
    }

    /// Decodes canonical base64url: no padding, no foreign byte, unused bits zero, so that every value has exactly
    /// one spelling. Nil for anything else.
    static func decodeURL(_ text: borrowing Span<UInt8>) -> [UInt8]? {
        let rest = text.count & 3
        if rest == 1 { return nil }
        var out: [UInt8] = []
        out.reserveCapacity(text.count / 4 * 3 + 2)
        var group: UInt32 = 0
        var held = 0
        for at in 0..<text.count {
            let value = Self.value(text[at])
            if value > 63 { return nil }
            group = group << 6 | UInt32(value)
            held += 6
            if held >= 8 {
                held -= 8
                out.append(UInt8(truncatingIfNeeded: group >> UInt32(held)))
            }
        }
        if group & (1 << UInt32(held) - 1) != 0 { return nil }
        return out
    }

    static func decodeURL(_ text: String) -> [UInt8]? {
        decodeURL(Array(text.utf8).span)
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        switch value {
        case 0..<26: value &+ 65
        case 26..<52: value &+ 71
        case 52..<62: value &- 4
        case 62: UInt8(ascii: "-")
        default: UInt8(ascii: "_")
        }
    }

    private static func value(_ byte: UInt8) -> UInt8 {
        switch byte {
        case 65...90: byte &- 65
        case 97...122: byte &- 71
        case 48...57: byte &+ 4
        case UInt8(ascii: "-"): 62
        case UInt8(ascii: "_"): 63
        default: 255
        }
    }

    /// Appends the padded base64 of `bytes` (RFC 4648 section 4).
    static func append(_ bytes: [UInt8], to out: inout ByteBuffer) {
        for byte in urlBytes(bytes) {
            switch byte {
            case UInt8(ascii: "-"): out.append(UInt8(ascii: "+"))
            case UInt8(ascii: "_"): out.append(UInt8(ascii: "/"))
            default: out.append(byte)
            }
        }
        for _ in 0..<((3 - bytes.count % 3) % 3) { out.append(UInt8(ascii: "=")) }
    }
}
