/// Comma-separated lists (RFC 9110 section 5.6.1) whose members are tokens.
public enum ListHeader {
    /// Whether `token` is a member, whatever its case.
    public static func contains(_ token: StaticString, in value: borrowing Span<UInt8>) -> Bool {
        var members = ListMembers()
        while let range = members.next(in: value) {
            if HTTPSpan.equalsIgnoringCase(value.extracting(range), token) { return true }
        }
        return false
    }
}

/// A walk over a list's members, without the spaces and tabs around each; empty members are passed over.
public struct ListMembers: Sendable {
    private var position = 0

    /// Before the first member.
    public init() {}

    /// The next member, nil after the last. Give the same bytes each time.
    public mutating func next(in value: borrowing Span<UInt8>) -> Range<Int>? {
        while position < value.count {
            let comma = HTTPSpan.find(UInt8(ascii: ","), in: value, position..<value.count)
            let member = HTTPSpan.trimmed(value, position..<comma)
            position = comma &+ 1
            if !member.isEmpty { return member }
        }
        return nil
    }
}
