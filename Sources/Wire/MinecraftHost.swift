/// The name by which a route is looked up, made of what a client put in its handshake. The bytes themselves go to the
/// backend as they came.
public enum MinecraftHost: Sendable, Equatable {
    /// Lower-case, without markers and trailing dot.
    case name(String)
    /// Nothing that could be a name: the default route's.
    case none
    /// `host\0address\0uuid`, which a server behind BungeeCord believes: an identity that nobody checked.
    case forged

    /// Reads the host of a handshake.
    public static func read(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> MinecraftHost {
        if claimsIdentity(bytes, range) { return .forged }
        var end = range.lowerBound
        while end < range.upperBound, bytes[end] != 0, !isTripleSlash(bytes, end, range.upperBound) { end += 1 }
        var text: [UInt8] = []
        text.reserveCapacity(min(end - range.lowerBound, 256))
        // One more for the trailing dot.
        guard end - range.lowerBound <= 254 else { return .none }
        for index in range.lowerBound..<end { text.append(bytes[index]) }
        return name(text)
    }

    /// Reads the host of a 1.6 ping, in UTF-16 with the high byte first.
    public static func readUTF16(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> MinecraftHost {
        var text: [UInt8] = []
        var index = range.lowerBound
        while index + 1 < range.upperBound {
            guard bytes[index] == 0, text.count <= 254 else { return .none }
            text.append(bytes[index + 1])
            index += 2
        }
        return read(text.span, 0..<text.count)
    }

    private static func name(_ raw: [UInt8]) -> MinecraftHost {
        var text = raw
        if text.last == UInt8(ascii: ".") { text.removeLast() }
        guard !text.isEmpty, text.count <= 253 else { return .none }
        var isName = true
        for index in text.indices {
            let byte = text[index]
            switch byte {
            case 0x41...0x5a: text[index] = byte | 0x20
            case 0x61...0x7a, 0x30...0x39, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."): break
            default: isName = false
            }
        }
        if isName { return .name(String(decoding: text, as: UTF8.self)) }
        if text.first == UInt8(ascii: "["), text.last == UInt8(ascii: "]") { text = Array(text[1..<(text.count - 1)]) }
        let literal = String(decoding: text, as: UTF8.self)
        return IPAddress(literal) == nil ? .none : .name(literal)
    }

    /// Whether a backend that splits at NUL would see a host and at least two more parts. Mod loaders' markers
    /// (`\0FML\0`, `\0FML2\0`, `\0FML3\0`, `\0FORGE…`) are one.
    private static func claimsIdentity(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        var end = range.upperBound
        // Empty parts at the end do not count for Java's split.
        while end > range.lowerBound, bytes[end - 1] == 0 { end -= 1 }
        var separators = 0
        for index in range.lowerBound..<end where bytes[index] == 0 { separators += 1 }
        return separators >= 2
    }

    private static func isTripleSlash(_ bytes: borrowing Span<UInt8>, _ at: Int, _ end: Int) -> Bool {
        at + 2 < end && bytes[at] == 0x2f && bytes[at + 1] == 0x2f && bytes[at + 2] == 0x2f
    }
}
