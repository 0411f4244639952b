import Wire

/// The header block that is arriving: its fields are judged and written down as HTTP/1.1 lines one by one, and put
/// together when it is complete. Blocks never interleave (RFC 9113 section 4.3), so a connection has one of these.
struct HeadBlock: ~Copyable {
    enum Kind { case none, request, trailers }

    private(set) var kind = Kind.none
    /// The stream's slot.
    private(set) var slot = -1
    /// What its `priority` field says.
    private(set) var priority = HTTP2Priority()
    /// A trailer section over its bounds.
    private(set) var isOverflowing = false

    private let headBytes: Int
    private let headFields: Int
    private var bytes = 0
    private var fields = 0
    private var cookieBytes = 0
    private var cookies = 0
    var refusal: HTTP2Refusal?

    /// The values of pseudo-fields and of `host`, and where each lies; nil when it did not come.
    var parts = ByteBuffer()
    var method: Range<Int>?
    var path: Range<Int>?
    var authority: Range<Int>?
    var host: Range<Int>?
    var isSecure = false
    /// `:protocol`, and whether it is `websocket`.
    var hasProtocol = false
    var isWebSocket = false

    /// The other fields as complete lines.
    var lines = ByteBuffer()
    var cookie = ByteBuffer()
    var hasLength = false
    var hasWebSocketVersion = false

    init(_ settings: HTTP2Settings) {
        headBytes = settings.headBytes
        headFields = settings.headFields
    }

    /// Starts a block of the stream in `slot`.
    mutating func begin(_ kind: Kind, slot: Int) {
        self.kind = kind
        self.slot = slot
        priority = HTTP2Priority()
        isOverflowing = false
        bytes = 0
        fields = 0
        cookieBytes = 0
        cookies = 0
        refusal = nil
        method = nil
        path = nil
        authority = nil
        host = nil
        isSecure = false
        hasProtocol = false
        isWebSocket = false
        hasLength = false
        hasWebSocketVersion = false
        parts.removeAll()
        lines.removeAll()
        cookie.removeAll()
    }

    /// Forgets the block, and storage that only a large one needs.
    mutating func end() {
        kind = .none
        slot = -1
        let kept = 4096
        if parts.capacity > kept { parts = ByteBuffer() }
        if lines.capacity > kept { lines = ByteBuffer() }
        if cookie.capacity > kept { cookie = ByteBuffer() }
    }

    /// Gives the storage back unless a block is arriving.
    mutating func releaseMemory() {
        guard kind == .none else { return }
        parts = ByteBuffer()
        lines = ByteBuffer()
        cookie = ByteBuffer()
    }

    /// Takes one field; false when the block has so many that the connection must end. It is counted before any of it
    /// is kept, and costs next to nothing once a limit was passed (CVE-2026-49975).
    mutating func add(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) -> Bool {
        fields &+= 1
        bytes &+= name.count &+ value.count &+ 32
        if fields > HTTP2Settings.farTooManyFields { return false }
        switch kind {
        case .none: break
        case .trailers:
            if bytes > HTTP2Settings.trailerBytes || fields > headFields { isOverflowing = true }
        case .request:
            let isCookie = HTTPSpan.equal(name, "cookie")
            if isCookie {
                cookieBytes &+= name.count &+ value.count &+ 32
                cookies &+= 1
            }
            if refusal == nil {
                if bytes > headBytes {
                    refusal = .headTooLarge(blamesCookies: false)
                } else if fields > headFields {
                    refusal = .tooManyFields(blamesCookies: false)
                }
            }
            if refusal != nil {
                keepTelling(name, value)
            } else if isCookie {
                addCookie(value)
            } else {
                addField(name, value)
            }
        }
        return true
    }

    /// Of a request that is refused already: keeps what tells whether a person reads the answer, as far as it is small.
    private mutating func keepTelling(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) {
        guard value.count <= 256, parts.count &+ lines.count <= headBytes &+ 4096 else { return }
        switch name.count {
        case 6 where HTTPSpan.equal(name, "accept"), 7 where HTTPSpan.equal(name, ":method"),
            11 where HTTPSpan.equal(name, "sec-purpose"), 14 where HTTPSpan.hasPrefix(name, "sec-fetch-"):
            addField(name, value)
        default: break
        }
    }

    /// Takes note of a field that nghttp2 finds malformed and would pass over; false as in `add`.
    mutating func addInvalid() -> Bool {
        fields &+= 1
        refuse("malformed field")
        return fields <= HTTP2Settings.farTooManyFields
    }

    /// Why a request that is complete is not to be served by its size, with the blame that only then can be laid.
    borrowing func sizeRefusal() -> HTTP2Refusal? {
        let fillsBytes = cookieBytes &* 2 > headBytes
        switch refusal {
        case .headTooLarge: return .headTooLarge(blamesCookies: reads && fillsBytes)
        case .tooManyFields: return .tooManyFields(blamesCookies: reads && (fillsBytes || cookies &* 2 > headFields))
        case .badRequest, .connectUnsupported, nil: return refusal
        }
    }

    private var reads: Bool { methodIs("GET") || methodIs("HEAD") }

    borrowing func methodIs(_ name: StaticString) -> Bool {
        guard let method else { return false }
        return parts.withReadable { HTTPSpan.equal($0.extracting(method), name) }
    }

    mutating func refuse(_ why: StaticString) {
        if refusal == nil { refusal = .badRequest(why) }
    }

    mutating func setPriority(_ value: borrowing Span<UInt8>) { priority = HTTP2Priority(value) }
}
