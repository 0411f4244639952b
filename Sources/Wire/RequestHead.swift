/// Which of the four forms of RFC 9112 section 3.2 a target has.
public enum TargetForm: UInt8, Sendable {
    /// `/path?query`
    case origin
    /// `https://host/path?query`
    case absolute
    /// `host:port`, only with CONNECT
    case authority
    /// `*`, only with OPTIONS
    case asterisk
}

/// A request head as positions in the bytes it was parsed from; the fields are in the `HeadFields` given to the parser.
public struct RequestHead: Sendable {
    @usableFromInline var methodToken = Slice()
    @usableFromInline var target = Slice()
    @usableFromInline var path = Slice()
    /// The authority inside an absolute target; empty otherwise.
    var targetAuthority = Slice()
    @usableFromInline var authority = Slice()
    @usableFromInline var fields = Slice()
    @usableFromInline var end: UInt32 = 0
    @usableFromInline var hasQuery = false

    /// The method.
    public internal(set) var method = Method.other
    /// The target's form.
    public internal(set) var form = TargetForm.origin
    /// 0 or 1; HTTP/1.x with x above 1 counts as 1.
    public internal(set) var minorVersion: UInt8 = 1
    /// How the body is delimited; never `.untilClose`.
    public internal(set) var framing = BodyFraming.none
    /// Whether the client lets the connection live on after the answer (RFC 9112 section 9.3).
    public internal(set) var keepAlive = true
    /// Whether it waits for 100 (RFC 9110 section 10.1.1).
    public internal(set) var expectContinue = false
    /// Whether this is a well-formed WebSocket opening handshake (RFC 6455 section 4.1).
    public internal(set) var isWebSocketUpgrade = false
    /// Whether there is an `Upgrade` field that is not such a handshake.
    public internal(set) var hasOtherUpgrade = false

    init() {}

    /// The method's token.
    @inlinable public var methodRange: Range<Int> { methodToken.range }
    /// The target as received.
    @inlinable public var targetRange: Range<Int> { target.range }
    /// The path alone; empty stands for `/`.
    @inlinable public var pathRange: Range<Int> { path.range }
    /// What follows the first `?`, if there is one.
    @inlinable public var queryRange: Range<Int>? { hasQuery ? Positions.range(path.end &+ 1, target.end) : nil }
    /// Bytes of the head, from the first byte given through the last CRLF.
    @inlinable public var byteCount: Int { Int(end) }
    /// From the first field line up to the empty line.
    @inlinable public var fieldsRange: Range<Int> { fields.range }
    /// The value of `Host`, which an absolute target's authority equals.
    @inlinable public var authorityRange: Range<Int> { authority.range }
}

/// A run of bytes, in 32 bits each.
@usableFromInline
struct Slice: Sendable {
    @usableFromInline var start: UInt32 = 0
    @usableFromInline var end: UInt32 = 0

    init() {}

    init(_ start: Int, _ end: Int) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.end = UInt32(truncatingIfNeeded: end)
    }

    init(_ range: Range<Int>) { self.init(range.lowerBound, range.upperBound) }

    @inlinable var range: Range<Int> { Positions.range(start, end) }
}
