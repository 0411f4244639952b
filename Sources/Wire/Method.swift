/// The standard methods of RFC 9110 section 9 and RFC 5789; every other token is `other`.
public enum Method: UInt8, Sendable, CaseIterable {
    case get, head, post, put, delete, connect, options, trace, patch, other

    /// The method as it is written on the wire, or `other`.
    public var name: StaticString {
        switch self {
        case .get: "GET"
        case .head: "HEAD"
        case .post: "POST"
        case .put: "PUT"
        case .delete: "DELETE"
        case .connect: "CONNECT"
        case .options: "OPTIONS"
        case .trace: "TRACE"
        case .patch: "PATCH"
        case .other: "other"
        }
    }

    /// Whether it only reads (RFC 9110 section 9.2.1).
    public var isSafe: Bool {
        switch self {
        case .get, .head, .options, .trace: true
        default: false
        }
    }

    /// Whether doing it twice is doing it once (RFC 9110 section 9.2.2).
    public var isIdempotent: Bool {
        switch self {
        case .put, .delete: true
        default: isSafe
        }
    }

    /// Whether it gives content in a request a meaning, so that servers look for its length (RFC 9110 section 8.6).
    public var expectsContent: Bool {
        switch self {
        case .post, .put, .patch: true
        default: false
        }
    }

    /// The method that `token` spells; methods are case-sensitive.
    public init(recognising token: borrowing Span<UInt8>) {
        self.init(token, 0..<token.count)
    }

    init(_ bytes: borrowing Span<UInt8>, _ token: Range<Int>) {
        let word = token.count <= 8 ? Word.load(bytes, token.lowerBound, count: token.count) : 0
        switch word {
        case Word.packed("GET"): self = .get
        case Word.packed("HEAD"): self = .head
        case Word.packed("POST"): self = .post
        case Word.packed("PUT"): self = .put
        case Word.packed("DELETE"): self = .delete
        case Word.packed("CONNECT"): self = .connect
        case Word.packed("OPTIONS"): self = .options
        case Word.packed("TRACE"): self = .trace
        case Word.packed("PATCH"): self = .patch
        default: self = .other
        }
    }
}
