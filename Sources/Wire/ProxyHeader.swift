/// The PROXY protocol, versions 1 and 2, as a proxy in front puts it before everything else.
public enum ProxyHeader {
    /// The most bytes a header may have: version 2 with some TLVs; version 1 has 107 at most.
    public static let limit = 536

    /// What the first bytes of a connection are.
    public enum Outcome: Sendable, Equatable {
        /// The beginning of a header.
        case partial
        /// No header; a trusted proxy must send one.
        case malformed
        /// A header of so many bytes; the client it names, `nil` when the proxy speaks for itself.
        case complete(count: Int, source: Endpoint?)
    }

    /// Reads a header from the first bytes of a connection.
    public static func parse(_ bytes: borrowing Span<UInt8>) -> Outcome {
        if bytes.isEmpty { return .partial }
        return bytes[0] == 0x0d ? parseV2(bytes) : parseV1(bytes)
    }

    static let signature: InlineArray<12, UInt8> = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
    ]

    private static func parseV2(_ bytes: borrowing Span<UInt8>) -> Outcome {
        for index in 0..<min(bytes.count, 12) where bytes[index] != signature[index] { return .malformed }
        guard bytes.count >= 16 else { return .partial }
        let command = bytes[12]
        guard command == 0x20 || command == 0x21 else { return .malformed }
        let total = 16 + Int(bytes[14]) << 8 + Int(bytes[15])
        guard total <= limit else { return .malformed }
        guard bytes.count >= total else { return .partial }
        if command == 0x20 { return .complete(count: total, source: nil) }
        switch bytes[13] {
        case 0x11:
            guard total >= 28 else { return .malformed }
            let source = Endpoint(
                address: IPAddress(ipv4: UInt32(truncatingIfNeeded: word(bytes, 16, 4))), port: port(bytes, 24))
            return .complete(count: total, source: source)
        case 0x21:
            guard total >= 52 else { return .malformed }
            let address = IPAddress(high: word(bytes, 16, 8), low: word(bytes, 24, 8))
            return .complete(count: total, source: Endpoint(address: address, port: port(bytes, 48)))
        case 0x00: return .complete(count: total, source: nil)
        default: return .malformed
        }
    }

    private static func word(_ bytes: borrowing Span<UInt8>, _ at: Int, _ count: Int) -> UInt64 {
        var value: UInt64 = 0
        for index in at..<(at + count) { value = value << 8 | UInt64(bytes[index]) }
        return value
    }

    private static func port(_ bytes: borrowing Span<UInt8>, _ at: Int) -> UInt16 {
        UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1])
    }

    /// `PROXY TCP4 source destination port port`, or `PROXY UNKNOWN` with anything behind it.
    private static func parseV1(_ bytes: borrowing Span<UInt8>) -> Outcome {
        let prefix: StaticString = "PROXY "
        let known = min(bytes.count, prefix.utf8CodeUnitCount)
        guard HTTPSpan.hasPrefix("PROXY ", startsLike: bytes, count: known) else { return .malformed }
        var end = 0
        while end < min(bytes.count, 107), bytes[end] != 0x0a { end += 1 }
        guard end < min(bytes.count, 107) else { return bytes.count >= 107 ? .malformed : .partial }
        guard end > 0, bytes[end - 1] == 0x0d else { return .malformed }
        let line = bytes.extracting(0..<(end - 1)).text()
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        if words.count >= 2, words[1] == "UNKNOWN" { return .complete(count: end + 1, source: nil) }
        // A dual-stack proxy writes IPv4 clients as `TCP6 ::ffff:192.0.2.1`: the notation tells the family, not the value.
        guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6", let source = IPAddress(words[2]),
            IPAddress(words[3]) != nil, words[2].utf8.contains(0x3a) == (words[1] == "TCP6"),
            words[3].utf8.contains(0x3a) == (words[1] == "TCP6"),
            let sourcePort = decimalPort(words[4]), decimalPort(words[5]) != nil
        else { return .malformed }
        return .complete(count: end + 1, source: Endpoint(address: source, port: sourcePort))
    }

    private static func decimalPort(_ text: Substring) -> UInt16? {
        guard (1...5).contains(text.utf8.count), text.utf8.allSatisfy({ (0x30...0x39).contains($0) }) else {
            return nil
        }
        return UInt16(text)
    }
}

extension HTTPSpan {
    /// Whether the first `count` bytes of `bytes` are those of `text`.
    static func hasPrefix(_ text: StaticString, startsLike bytes: borrowing Span<UInt8>, count: Int) -> Bool {
        for index in 0..<count where unsafe bytes[index] != text.utf8Start[index] { return false }
        return true
    }
}
