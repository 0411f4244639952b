/// Percent-encoding (RFC 3986 section 2.1).
public enum PercentCoding {
    /// Appends `bytes` with everything but unreserved characters encoded.
    public static func encode(_ bytes: borrowing Span<UInt8>, into output: inout ByteBuffer) {
        for at in 0..<bytes.count {
            append(bytes[at], encoded: !isUnreserved(bytes[at]), to: &output)
        }
    }

    /// Appends a path and query as a `Location` may hold them: only what may not stand in a URI at all is encoded, as a
    /// browser would (RFC 3986 appendix A): spaces, controls, and all that is not ASCII.
    public static func encodeTarget(_ bytes: borrowing Span<UInt8>, into output: inout ByteBuffer) {
        for at in 0..<bytes.count { append(bytes[at], encoded: bytes[at] <= 0x20 || bytes[at] >= 0x7f, to: &output) }
    }

    /// Appends `bytes` decoded; false, and nothing appended, when a `%` is not followed by two hexadecimal digits.
    public static func decode(
        _ bytes: borrowing Span<UInt8>, plusAsSpace: Bool, into output: inout ByteBuffer
    ) -> Bool {
        let before = output.count
        var at = 0
        while at < bytes.count {
            let byte = bytes[at]
            if byte == UInt8(ascii: "%") {
                guard at &+ 2 < bytes.count, let high = Byte.hex(bytes[at &+ 1]), let low = Byte.hex(bytes[at &+ 2])
                else {
                    output.dropLast(output.count - before)
                    return false
                }
                output.append(high &<< 4 | low)
                at &+= 3
            } else {
                output.append(plusAsSpace && byte == UInt8(ascii: "+") ? Byte.space : byte)
                at &+= 1
            }
        }
        return true
    }

    private static func append(_ byte: UInt8, encoded: Bool, to output: inout ByteBuffer) {
        guard encoded else { return output.append(byte) }
        output.append(UInt8(ascii: "%"))
        output.append(digit(byte >> 4))
        output.append(digit(byte & 15))
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: Byte.isLetter(byte) || Byte.isDigit(byte)
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 { value < 10 ? value &+ 0x30 : value &+ 0x37 }
}

/// A body of type `application/x-www-form-urlencoded`.
public enum FormBody {
    /// Appends the decoded value of the first field called `name`; false when there is none or its encoding is broken.
    public static func value(
        of name: StaticString, in body: borrowing Span<UInt8>, into output: inout ByteBuffer
    ) -> Bool {
        let nameEnd = name.utf8CodeUnitCount
        var at = 0
        while at < body.count {
            let end = HTTPSpan.find(UInt8(ascii: "&"), in: body, at..<body.count)
            let field = body.extracting(at..<end)
            if HTTPSpan.hasPrefix(field, name) {
                if field.count == nameEnd { return true }
                if field[nameEnd] == UInt8(ascii: "=") {
                    return PercentCoding.decode(
                        field.extracting(nameEnd &+ 1..<field.count), plusAsSpace: true, into: &output)
                }
            }
            at = end &+ 1
        }
        return false
    }
}
