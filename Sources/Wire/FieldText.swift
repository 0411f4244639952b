/// What bytes may stand where in a head, told sixteen at a time.
public enum FieldText {
    /// A token without upper case (RFC 9113 section 8.2.1).
    public static func isName(_ bytes: borrowing Span<UInt8>) -> Bool {
        if ByteSearch.first(.notSmallName, bytes, 0, bytes.count) == bytes.count { return !bytes.isEmpty }
        for at in 0..<bytes.count {
            let byte = bytes[at]
            if !Byte.isToken(byte) || Byte.lowered(byte) != byte { return false }
        }
        return true
    }

    /// `token` of RFC 9110 section 5.6.2.
    public static func isToken(_ bytes: borrowing Span<UInt8>) -> Bool {
        !bytes.isEmpty && tokenEnd(bytes, 0) == bytes.count
    }

    /// No control but the tab (RFC 9110 section 5.5).
    public static func isValue(_ bytes: borrowing Span<UInt8>) -> Bool { valueEnd(bytes, 0) == bytes.count }

    /// Visible ASCII.
    public static func isVisible(_ bytes: borrowing Span<UInt8>) -> Bool {
        var at = ByteSearch.first(.notTarget, bytes, 0, bytes.count)
        while bytes.has(UInt8(ascii: "#"), at: at) { at = ByteSearch.first(.notTarget, bytes, at &+ 1, bytes.count) }
        return at == bytes.count && !bytes.isEmpty
    }

    /// Where the token at `start` ends.
    static func tokenEnd(_ bytes: borrowing Span<UInt8>, _ start: Int) -> Int {
        var at = ByteSearch.first(.notPlainName, bytes, start, bytes.count)
        while at < bytes.count, Byte.isToken(bytes[at]) { at &+= 1 }
        return at
    }

    /// Where the first byte from `start` on is that no value may hold.
    static func valueEnd(_ bytes: borrowing Span<UInt8>, _ start: Int) -> Int {
        var at = ByteSearch.first(.control, bytes, start, bytes.count)
        while bytes.has(Byte.tab, at: at) { at = ByteSearch.first(.control, bytes, at &+ 1, bytes.count) }
        return at
    }
}

/// One field line, `Name: value` and CRLF (RFC 9112 section 5), as positions in the bytes it was read from.
public struct FieldLine: Sendable {
    /// The name, a token.
    public let name: Range<Int>
    /// The value, without the spaces and tabs around it and without controls.
    public let value: Range<Int>
    /// Behind CRLF.
    public let end: Int

    /// Reads the line that begins at `start`; nil when it is none.
    public init?(_ bytes: borrowing Span<UInt8>, at start: Int) {
        let colon = FieldText.tokenEnd(bytes, start)
        guard colon > start, bytes.has(UInt8(ascii: ":"), at: colon) else { return nil }
        var stop = FieldText.valueEnd(bytes, colon &+ 1)
        guard bytes.hasLineEnd(at: stop) else { return nil }
        end = stop &+ 2
        var first = colon &+ 1
        // No control but the tab is left in between.
        while first < stop, bytes[first] <= Byte.space { first &+= 1 }
        while stop > first, bytes[stop &- 1] <= Byte.space { stop &-= 1 }
        name = start..<colon
        value = first..<stop
    }
}
