/// What a client says in `Accept-Encoding` (RFC 9110 section 12.5.3), as far as it concerns gzip. Identity is always
/// acceptable to us, so only one question is answered: may, and should, an answer go out as gzip?
///
/// Where the client contradicts itself or its field is malformed, the answer is no, which every client can read.
public struct AcceptEncoding: Sendable {
    /// Weights in thousandths; nil where nothing was said.
    private var gzip: Int?
    private var identity: Int?
    private var any: Int?

    /// Nothing said yet.
    public init() {}

    /// Whether all the `Accept-Encoding` fields of a request together ask for gzip.
    public static func prefersGzip(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        guard fields.contains(.acceptEncoding) else { return false }
        var said = Self()
        for index in 0..<fields.count where fields[index].name == .acceptEncoding {
            said.add(bytes.extracting(fields[index].valueRange))
        }
        return said.prefersGzip
    }

    /// Takes in one field's value.
    public mutating func add(_ value: borrowing Span<UInt8>) {
        var members = ListMembers()
        while let member = members.next(in: value) { take(value, member) }
    }

    /// Whether gzip is acceptable and not less wanted than identity, so far as that was given a weight of its own.
    /// Without a field nothing is known, so no.
    public var prefersGzip: Bool {
        let weight = gzip ?? any ?? 0
        return weight > 0 && weight >= identity ?? 0
    }

    private mutating func take(_ value: borrowing Span<UInt8>, _ member: Range<Int>) {
        let semicolon = HTTPSpan.find(UInt8(ascii: ";"), in: value, member)
        let coding = value.extracting(HTTPSpan.trimmed(value, member.lowerBound..<semicolon))
        let weight = semicolon == member.upperBound ? 1000 : Self.weight(value, semicolon &+ 1..<member.upperBound)
        // Of several weights for one coding the lowest counts; a malformed one is 0. Section 8.4.1.3: `x-gzip` is gzip.
        if HTTPSpan.equalsIgnoringCase(coding, "gzip") || HTTPSpan.equalsIgnoringCase(coding, "x-gzip") {
            gzip = min(gzip ?? 1000, weight ?? 0)
        } else if HTTPSpan.equalsIgnoringCase(coding, "identity") {
            // Wanting identity most is the careful reading of a malformed weight.
            identity = max(identity ?? 0, weight ?? 1000)
        } else if HTTPSpan.equal(coding, "*") {
            any = min(any ?? 1000, weight ?? 0)
        }
    }

    /// `q=` and 0 to 1 with at most three decimals (section 12.4.2), in thousandths.
    private static func weight(_ value: borrowing Span<UInt8>, _ range: Range<Int>) -> Int? {
        let parameter = value.extracting(HTTPSpan.trimmed(value, range))
        guard (3...7).contains(parameter.count), HTTPSpan.hasPrefixIgnoringCase(parameter, "q=") else { return nil }
        guard parameter[2] == UInt8(ascii: "0") || parameter[2] == UInt8(ascii: "1") else { return nil }
        var thousandths = Int(parameter[2] &- UInt8(ascii: "0")) &* 1000
        if parameter.count == 3 { return thousandths }
        guard parameter[3] == UInt8(ascii: ".") else { return nil }
        var unit = 100
        for at in 4..<parameter.count {
            guard Byte.isDigit(parameter[at]) else { return nil }
            thousandths &+= Int(parameter[at] &- UInt8(ascii: "0")) &* unit
            unit /= 10
        }
        return thousandths <= 1000 ? thousandths : nil
    }
}
