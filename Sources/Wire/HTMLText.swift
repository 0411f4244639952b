/// Text inside HTML, in element content and in quoted attribute values.
public enum HTMLText {
    /// Appends `text` with the five characters that mean something to HTML escaped, and controls, but for tab and line
    /// ends, as U+FFFD.
    public static func append(escaping text: borrowing Span<UInt8>, to output: inout ByteBuffer) {
        for at in 0..<text.count {
            let byte = text[at]
            switch byte {
            case UInt8(ascii: "&"): output.append("&amp;")
            case UInt8(ascii: "<"): output.append("&lt;")
            case UInt8(ascii: ">"): output.append("&gt;")
            case UInt8(ascii: "\""): output.append("&quot;")
            case UInt8(ascii: "'"): output.append("&#39;")
            case Byte.tab, Byte.lf, Byte.cr: output.append(byte)
            case ..<0x20, 0x7f: output.append("\u{fffd}")
            default: output.append(byte)
            }
        }
    }
}
