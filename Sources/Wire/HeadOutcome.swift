/// What came of looking at the bytes received so far.
public enum HeadOutcome<Head: Sendable>: Sendable {
    /// A whole head, well formed.
    case complete(Head)
    /// More bytes are needed.
    case partial
    /// It can never become a head that is accepted; the connection cannot go on.
    case malformed(HeadDefect)
}

/// Why a head is refused.
public enum HeadDefect: Error, Sendable {
    /// The bytes break the grammar or contradict each other; the text says which rule.
    case badRequest(StaticString)
    /// More empty lines before the start line than `HeadLimits.emptyLines`.
    case tooManyEmptyLines
    /// A trailer section over `HeadLimits.bytes` or `HeadLimits.fields`.
    case trailersTooLarge
    /// No end within `HeadLimits.bytes`; `HeadScan.cookieBytes` says how much of it was cookies.
    case headTooLarge
    /// More field lines than `HeadLimits.fields`.
    case tooManyFields
    /// More than `HeadLimits.farTooMany` field lines: nothing after it is worth reading.
    case farTooManyFields
    /// An absolute target with a scheme other than `https`.
    case uriSchemeNotAllowed
    /// A `Transfer-Encoding` other than exactly one `chunked`.
    case transferEncodingUnsupported
    /// CONNECT.
    case connectUnsupported
    /// TRACE.
    case methodTrace
    /// A major version other than 1.
    case versionUnsupported

    /// The status that answers it.
    public var status: Int {
        switch self {
        case .badRequest, .tooManyEmptyLines, .trailersTooLarge, .uriSchemeNotAllowed, .versionUnsupported: 400
        case .headTooLarge, .tooManyFields, .farTooManyFields: 431
        case .transferEncodingUnsupported, .connectUnsupported: 501
        case .methodTrace: 405
        }
    }

    /// What was wrong, in a few words without any byte of the peer's.
    public var reason: StaticString {
        switch self {
        case .badRequest(let reason): reason
        case .tooManyEmptyLines: "empty line before the head"
        case .trailersTooLarge: "trailers too large"
        case .headTooLarge: "head too large"
        case .tooManyFields, .farTooManyFields: "too many fields"
        case .uriSchemeNotAllowed: "target scheme is not https"
        case .transferEncodingUnsupported: "transfer coding is not chunked"
        case .connectUnsupported: "CONNECT is not served"
        case .methodTrace: "TRACE is not served"
        case .versionUnsupported: "HTTP version is not 1.x"
        }
    }
}

/// Bounds of one head.
public struct HeadLimits: Sendable {
    /// Bytes from the first through the last CRLF, empty lines before it included.
    public var bytes: Int
    /// Field lines.
    public var fields: Int
    /// Empty lines tolerated before the start line (RFC 9112 section 2.2).
    public var emptyLines: Int
    /// Whether a request must name its host, once and rightly (RFC 9112 section 3.2): wherever that decides anything.
    public var requiresHost = true
    /// Field lines after which the connection is not worth keeping.
    public static let farTooMany = 1000

    /// `limits.headers`, `limits.framing.empty_lines`.
    public static let request = HeadLimits(bytes: 32 * 1024, fields: 100, emptyLines: 2)
    /// `limits.upstream`.
    public static let response = HeadLimits(bytes: 64 * 1024, fields: 200, emptyLines: 0)
    /// `limits.framing.trailers`.
    public static let trailers = HeadLimits(bytes: 8 * 1024, fields: 100, emptyLines: 0)

    /// The given bounds; the size is held under 1 GiB.
    public init(bytes: Int = 32 * 1024, fields: Int = 100, emptyLines: Int = 2) {
        self.bytes = min(max(bytes, 0), 1 << 30)
        self.fields = max(fields, 0)
        self.emptyLines = min(max(emptyLines, 0), 255)
    }
}

/// How far earlier calls looked into a head that is still arriving, so that one which comes byte by byte costs no more
/// than a few looks at each byte. Start each head with a new one.
public struct HeadScan: Sendable {
    /// Where the first line begins that had no end yet.
    var lineStart = 0
    /// Up to where that line is known to hold nothing illegal.
    var checked = 0
    var emptyLines = 0
    var startLineDone = false
    var fieldLines = 0
    /// After a 431: bytes of `Cookie` lines seen, the last of them perhaps unfinished.
    public internal(set) var cookieBytes = 0
    /// After a 431: the request's method when its first line was complete. The table holds the complete field lines.
    public internal(set) var method: Method?

    /// Nothing was looked at yet.
    public init() {}

    var isResumed: Bool { checked != 0 }
}

/// How the body after a head is delimited (RFC 9112 section 6.3).
public enum BodyFraming: Sendable, Equatable {
    /// No body at all.
    case none
    /// So many bytes.
    case length(UInt64)
    /// The chunked coding.
    case chunked
    /// Everything until the connection closes; only answers.
    case untilClose
}
