extension ByteBuffer {
    /// Appends `text` as a JSON string, quotation marks included.
    public mutating func append(quoting text: String) {
        append(UInt8(ascii: "\""))
        append(escaping: text.utf8Span.span)
        append(UInt8(ascii: "\""))
    }

    /// Appends bytes from anywhere as the inside of a JSON string (RFC 8259 section 7), so that no client can end the
    /// string, the line, or steer a terminal that shows it: controls (C0, DEL, C1), quotes, backslashes, line
    /// separators and direction marks are escaped, and what is not UTF-8 becomes U+FFFD.
    ///
    /// At most `limit` bytes are taken; more are cut, which an ellipsis shows.
    public mutating func append(escaping bytes: borrowing Span<UInt8>, limit: Int = .max) {
        var end = bytes.count
        if end > limit {
            end = max(limit, 0)
            // Not through the middle of a character.
            while end > 0, end + 3 > limit, bytes[end] & 0xc0 == 0x80 { end -= 1 }
        }
        var at = 0
        var clean = 0
        while at < end {
            let byte = bytes[at]
            if byte >= 0x20, byte < 0x7f, byte != 0x22, byte != 0x5c {
                at += 1
                continue
            }
            let (length, scalar) = byte < 0x80 ? (1, UInt32(byte)) : decodeUTF8(bytes, at, end)
            if byte < 0x80 || length == 0 || isInvisible(scalar) {
                append(bytes, clean..<at)
                append(escape: length == 0 ? 0xfffd : scalar)
                at += max(length, 1)
                clean = at
            } else {
                at += length
            }
        }
        append(bytes, clean..<end)
        if end < bytes.count { append("\u{2026}") }
    }

    private mutating func append(escape scalar: UInt32) {
        switch scalar {
        case 0x22: append("\\\"")
        case 0x5c: append("\\\\")
        case 0x0a: append("\\n")
        case 0x0d: append("\\r")
        case 0x09: append("\\t")
        default:
            append("\\u")
            for shift in [12, 8, 4, 0] { append(hex: UInt64(scalar) >> UInt64(shift) & 15) }
        }
    }
}

/// JSON as text, for what is written seldom.
public enum JSONText {
    /// `text` as a JSON string, which is a YAML scalar too.
    public static func quoted(_ text: String) -> String {
        var buffer = ByteBuffer(capacity: text.utf8.count + 16)
        buffer.append(quoting: text)
        return buffer.withReadable { $0.text() }
    }
}

/// The scalar at `at` and its length; length 0 when the bytes there are not UTF-8 (RFC 3629 section 4: no overlong
/// form, no surrogate, nothing above U+10FFFF).
private func decodeUTF8(_ bytes: borrowing Span<UInt8>, _ at: Int, _ end: Int) -> (length: Int, scalar: UInt32) {
    let first = UInt32(bytes[at])
    let length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
    guard first >= 0xc2, first <= 0xf4, at + length <= end else { return (0, 0) }
    var scalar = first & (0x7f >> UInt32(length))
    for next in at + 1..<at + length {
        guard bytes[next] & 0xc0 == 0x80 else { return (0, 0) }
        scalar = scalar << 6 | UInt32(bytes[next] & 0x3f)
    }
    switch length {
    case 3: return scalar >= 0x800 && !(0xd800...0xdfff).contains(scalar) ? (3, scalar) : (0, 0)
    case 4: return scalar >= 0x10000 && scalar <= 0x10ffff ? (4, scalar) : (0, 0)
    default: return (2, scalar)
    }
}

/// Scalars that change how a line looks without being seen (C1 controls, zero width, line separators, direction marks),
/// and those that YAML refuses.
private func isInvisible(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x80...0x9f, 0x61c, 0x200b...0x200f, 0x2028...0x202e, 0x2060...0x2069, 0xfeff, 0xfffe, 0xffff: true
    default: false
    }
}
