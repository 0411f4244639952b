/// A response head as positions in the bytes it was parsed from; the fields are in the `HeadFields` given to the
/// parser.
public struct ResponseHead: Sendable {
    @usableFromInline var reason = Slice()
    @usableFromInline var fields = Slice()
    @usableFromInline var end: UInt32 = 0

    /// The status code, 100 to 599.
    public internal(set) var status: UInt16 = 0
    /// 0 or 1; HTTP/1.x with x above 1 counts as 1.
    public internal(set) var minorVersion: UInt8 = 1
    /// How the body is delimited.
    public internal(set) var framing = BodyFraming.none
    /// Whether the connection may serve another request once the body has ended.
    public internal(set) var keepAlive = false

    init() {}

    /// Bytes of the head, from the first byte given through the last CRLF.
    @inlinable public var byteCount: Int { Int(end) }
    /// The reason phrase, possibly empty.
    @inlinable public var reasonRange: Range<Int> { reason.range }
    /// From the first field line up to the empty line.
    @inlinable public var fieldsRange: Range<Int> { fields.range }
    /// Whether another head follows for the same request: 1xx but for 101.
    public var isInterim: Bool { status < 200 && status != 101 }
}
