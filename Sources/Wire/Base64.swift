/// The standard alphabet with padding (RFC 4648 section 4).
public enum Base64 {
    /// Appends `bytes` encoded.
    public static func encode(_ bytes: borrowing Span<UInt8>, into output: inout ByteBuffer) {
        SixBits.encode(bytes, alphabet: .standard, into: &output)
    }

    /// Whether `text` is the canonical encoding of sixteen bytes, as `Sec-WebSocket-Key` must be (RFC 6455 section
    /// 4.1).
    public static func isSixteenBytes(_ text: borrowing Span<UInt8>) -> Bool {
        guard text.count == 24, text[22] == UInt8(ascii: "="), text[23] == UInt8(ascii: "=") else { return false }
        for at in 0..<22 where SixBits.value(text[at], .standard) == nil { return false }
        return (SixBits.value(text[21], .standard) ?? 1) & 15 == 0
    }
}

/// The URL-safe alphabet without padding (RFC 4648 section 5), as tokens use it.
public enum Base64URL {
    /// Appends `bytes` encoded.
    public static func encode(_ bytes: borrowing Span<UInt8>, into output: inout ByteBuffer) {
        SixBits.encode(bytes, alphabet: .url, into: &output)
    }

    /// `bytes` encoded.
    public static func encode(_ bytes: [UInt8]) -> String {
        var output = ByteBuffer()
        encode(bytes.span, into: &output)
        return output.withReadable { $0.text() }
    }

    /// Appends what `text` encodes; false, and nothing appended, unless it is the canonical encoding: no padding, no
    /// other character, unused bits zero.
    public static func decode(_ text: borrowing Span<UInt8>, into output: inout ByteBuffer) -> Bool {
        guard text.count & 3 != 1 else { return false }
        let before = output.count
        var bits: UInt32 = 0
        var held = 0
        for at in 0..<text.count {
            guard let value = SixBits.value(text[at], .url) else {
                output.dropLast(output.count - before)
                return false
            }
            bits = bits &<< 6 | UInt32(value)
            held &+= 6
            if held >= 8 {
                held &-= 8
                output.append(UInt8(truncatingIfNeeded: bits &>> UInt32(held)))
            }
        }
        if bits & ((1 &<< UInt32(held)) &- 1) != 0 {
            output.dropLast(output.count - before)
            return false
        }
        return true
    }

    /// What `text` encodes, nil unless it is the canonical encoding.
    public static func decode(_ text: borrowing Span<UInt8>) -> [UInt8]? {
        var output = ByteBuffer(capacity: text.count + 1)
        guard decode(text, into: &output) else { return nil }
        return output.withReadable { $0.copied() }
    }

    /// What `text` encodes, nil unless it is the canonical encoding.
    public static func decode(_ text: String) -> [UInt8]? { decode(Array(text.utf8).span) }
}

/// What both alphabets share.
private enum SixBits {
    enum Alphabet { case standard, url }

    static func encode(_ bytes: borrowing Span<UInt8>, alphabet: Alphabet, into output: inout ByteBuffer) {
        output.reserve((bytes.count + 2) / 3 * 4)
        var at = 0
        while at < bytes.count {
            let left = bytes.count &- at
            let group =
                UInt32(bytes[at]) &<< 16 | UInt32(left > 1 ? bytes[at &+ 1] : 0) &<< 8
                | UInt32(left > 2 ? bytes[at &+ 2] : 0)
            output.append(character(group &>> 18, alphabet))
            output.append(character(group &>> 12, alphabet))
            if left > 1 { output.append(character(group &>> 6, alphabet)) }
            if left > 2 { output.append(character(group, alphabet)) }
            if alphabet == .standard {
                if left == 1 { output.append("==") }
                if left == 2 { output.append("=") }
            }
            at &+= 3
        }
    }

    private static func character(_ bits: UInt32, _ alphabet: Alphabet) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: bits & 63)
        switch value {
        case 0..<26: return value &+ 0x41
        case 26..<52: return value &- 26 &+ 0x61
        case 52..<62: return value &- 52 &+ 0x30
        case 62: return alphabet == .url ? UInt8(ascii: "-") : UInt8(ascii: "+")
        default: return alphabet == .url ? UInt8(ascii: "_") : UInt8(ascii: "/")
        }
    }

    static func value(_ byte: UInt8, _ alphabet: Alphabet) -> UInt8? {
        switch byte {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): return byte &- 0x41
        case UInt8(ascii: "a")...UInt8(ascii: "z"): return byte &- 0x61 &+ 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): return byte &- 0x30 &+ 52
        case UInt8(ascii: "-") where alphabet == .url, UInt8(ascii: "+") where alphabet == .standard: return 62
        case UInt8(ascii: "_") where alphabet == .url, UInt8(ascii: "/") where alphabet == .standard: return 63
        default: return nil
        }
    }
}
