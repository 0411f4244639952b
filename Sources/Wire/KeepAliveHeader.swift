/// The `Keep-Alive` field: a list of parameters, of which `timeout` says for how many seconds an idle connection is kept.
public enum KeepAliveHeader {
    /// The shortest `timeout` that the value names, `nil` when it names none.
    public static func timeout(in value: borrowing Span<UInt8>) -> UInt32? {
        var shortest: UInt32?
        var members = ListMembers()
        while let range = members.next(in: value) {
            let member = value.extracting(range)
            let equals = HTTPSpan.find(UInt8(ascii: "="), in: member, 0..<member.count)
            guard HTTPSpan.equalsIgnoringCase(member.extracting(HTTPSpan.trimmed(member, 0..<equals)), "timeout"),
                equals < member.count
            else { continue }
            let digits = HTTPSpan.trimmed(member, equals + 1..<member.count)
            if let seconds = number(member, digits) { shortest = min(shortest ?? .max, seconds) }
        }
        return shortest
    }

    /// The digits at the front, perhaps in quotes; too large a number is the largest there is.
    private static func number(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt32? {
        var at = range.lowerBound
        if at < range.upperBound, bytes[at] == UInt8(ascii: "\"") { at += 1 }
        var number: UInt32?
        while at < range.upperBound, (0x30...0x39).contains(bytes[at]) {
            let (tens, isLarge) = (number ?? 0).multipliedReportingOverflow(by: 10)
            let (sum, isLarger) = tens.addingReportingOverflow(UInt32(bytes[at] - 0x30))
            number = isLarge || isLarger ? .max : sum
            if number == .max { return number }
            at += 1
        }
        return number
    }
}
