import Wire

/// How an answer's content goes to the client.
enum Coding: Sendable {
    /// As it came.
    case identity
    /// As it came, and another request for the same might get it coded: with `Vary: Accept-Encoding`.
    case identityVaries
    /// Compressed: with `Vary: Accept-Encoding` and an ETag of its own, without `Accept-Ranges`, as no range of it is served.
    case gzip
}

/// What of a request bears on the coding of its answer, kept until the answer is there.
struct CodingFacts: Sendable {
    /// Who made the browser ask.
    enum Asker: Sendable {
        /// The container's own pages, the user, or a program with a token of its own.
        case own
        /// Nobody says: a program, or a browser from before Fetch Metadata.
        case unknown
        /// A page of another site. `checkSite` lets only navigations through.
        case foreign
    }

    let asker: Asker
    /// Whether a GET, or a HEAD, which tells of the same answer.
    let reads: Bool
    /// Whether the request itself can carry a coded answer.
    let takesGzip: Bool
    /// Whether it carries more than a path, which the answer might repeat.
    let hasInput: Bool

    init(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields, usesHeaderToken: Bool) {
        if let site = fields.first(.secFetchSite) {
            let value = bytes.extracting(site.valueRange)
            let isOwn = HTTPSpan.equalsIgnoringCase(value, "same-origin") || HTTPSpan.equalsIgnoringCase(value, "none")
            asker = isOwn && !fields.repeats(.secFetchSite) ? .own : .foreign
        } else {
            asker = usesHeaderToken ? .own : .unknown
        }
        reads = (head.method == .get || head.method == .head) && !head.isWebSocketUpgrade
        // A HEAD has nothing to compress; a range is one of the bytes that the container has.
        takesGzip =
            head.method == .get && !fields.contains(.range) && !CacheControl.forbidsTransform(bytes, fields)
            && AcceptEncoding.prefersGzip(bytes, fields)
        hasInput = head.queryRange.map { !$0.isEmpty } ?? false || head.framing != .none
    }
}

/// Whether an answer is compressed.
///
/// Only what gains: 200, a type that compresses, 1 KiB or more where the length is known. nginx takes 403 and 404 as
/// well; such pages are short, and repeat the request more than any other.
///
/// BREACH needs three things in one answer: a secret, text that the attacker chose, and a compressed length to watch
/// while the attacker's page makes the victim's browser ask again and again. So nothing is compressed for a request that
/// another site caused; the container's neighbours, which are *same-site*, count as other sites. What remains is the
/// container's own page that puts what it finds in its address into a request of its own:
///
/// - Assets (scripts, style sheets, fonts, WebAssembly) hold nothing of a request, and no secrets: wherever a browser
///   does not say who asks, any page could run the script and so read it. They are compressed even then.
/// - Text (HTML, JSON and so on) may hold both. It is compressed only when the browser vouches that the request is the
///   site's own, and when it brings no query and no body that could be repeated.
func chooseCoding(
    _ head: ResponseHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, request: CodingFacts
) -> Coding {
    guard request.reads, head.status == 200, isLong(head, bytes, fields), mayBeCoded(bytes, fields),
        let field = fields.first(.contentType), !fields.repeats(.contentType)
    else { return .identity }
    switch ContentType(bytes.extracting(field.valueRange)) {
    case .other: return .identity
    case .asset: return request.takesGzip && request.asker != .foreign ? .gzip : .identityVaries
    case .text:
        if request.hasInput { return .identity }
        return request.takesGzip && request.asker == .own ? .gzip : .identityVaries
    }
}

private let shortest: UInt64 = 1024

/// Below this the head of a gzip stream and our work outweigh what is saved.
private func isLong(_ head: ResponseHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
    switch head.framing {
    case .length(let count): return count >= shortest
    case .chunked, .untilClose: return true
    case .none:
        // An answer to HEAD: as long as a GET's would be.
        guard let field = fields.first(.contentLength) else { return true }
        return HTTPSpan.decimal(bytes.extracting(field.valueRange)) ?? 0 >= shortest
    }
}

/// Whether the container's fields leave the coding to us: it chose none, does not forbid it (RFC 9110 section 7.7), and
/// does not say what the bytes hash to.
private func mayBeCoded(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
    if fields.contains(.contentRange) || fields.contains(.digest) { return false }
    if CacheControl.forbidsTransform(bytes, fields) { return false }
    guard let coding = fields.first(.contentEncoding) else { return true }
    return !fields.repeats(.contentEncoding)
        && HTTPSpan.equalsIgnoringCase(bytes.extracting(coding.valueRange), "identity")
}
