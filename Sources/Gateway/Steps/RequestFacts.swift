import Wire

/// What several steps ask about a request, worked out once.
struct RequestFacts: Sendable {
    /// Loads a page: a GET or HEAD that is a navigation.
    let isNavigation: Bool
    /// Whether a person reads the answer: a navigation of any method.
    let wantsPage: Bool
    /// A WebSocket opening handshake.
    let isUpgrade: Bool
    /// Who made the browser ask.
    let asker: Asker

    init(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        self.init(
            head.method, isUpgrade: head.isWebSocketUpgrade, asker: Asker(head, bytes, fields), bytes, fields)
    }

    /// What the lines of a head tell that is refused, or that is not whole.
    init(refused method: Method, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        let asker = Asker(metadata: bytes, fields) ?? .unknown
        self.init(method, isUpgrade: false, asker: asker, bytes, fields)
    }

    private init(
        _ method: Method, isUpgrade: Bool, asker: Asker, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields
    ) {
        self.isUpgrade = isUpgrade
        self.asker = asker
        wantsPage = !isUpgrade && Self.navigates(bytes, fields)
        isNavigation = wantsPage && (method == .get || method == .head)
    }

    /// `Sec-Fetch-Mode: navigate`; or HTML is asked for, and nothing says that it is for a part of a page.
    private static func navigates(_ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) -> Bool {
        if hasMode("navigate", bytes, fields) { return true }
        switch Destination(bytes, fields) {
        case .unsaid, .document, .empty, .iframe: return acceptsHTML(bytes, fields)
        case .frame, .other: return false
        }
    }
}

/// Whether a service worker fetched a navigation again, as Firefox does it: as the site's own, whoever caused it, which
/// only `Referer` tells then.
func isRefetched(_ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) -> Bool {
    hasMode("same-origin", bytes, fields) && acceptsHTML(bytes, fields)
}

func hasMode(_ mode: StaticString, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) -> Bool {
    guard let field = fields.first(.secFetchMode) else { return false }
    return HTTPSpan.equalsIgnoringCase(bytes.extracting(field.valueRange), mode)
}

private func acceptsHTML(_ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) -> Bool {
    guard let accept = fields.first(.accept) else { return false }
    let value = bytes.extracting(accept.valueRange)
    var members = ListMembers()
    while let member = members.next(in: value) {
        if HTTPSpan.hasPrefixIgnoringCase(value.extracting(member), "text/html") { return true }
    }
    return false
}

/// Who made the browser ask.
enum Asker: Sendable {
    /// The container's own pages, or the user.
    case own
    /// Nobody says: a program, or a browser from before Fetch Metadata.
    case unknown
    /// A page of another site, as which the container's neighbours count, or perhaps one: what browsers fetch ahead may be
    /// a page's suggestion (speculation rules send `Sec-Fetch-Site: none`), and what a service worker fetches again
    /// without a `Referer` may be anybody's.
    case foreign

    init(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        let said = Asker(metadata: bytes, fields)
        if said == .foreign || namesForeignReferer(head, bytes, fields) {
            self = .foreign
        } else if !fields.contains(.referer), isRefetched(bytes, fields) {
            self = .foreign
        } else if said == nil || head.isWebSocketUpgrade, let origin = fields.first(.origin),
            !isOwnOrigin(origin.valueRange, head, bytes)
        {
            self = .foreign
        } else {
            self = said ?? .unknown
        }
    }

    /// What Fetch Metadata alone says, if anything.
    fileprivate init?(metadata bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        if isFetchedAhead(fields) {
            self = .foreign
        } else if let site = fields.first(.secFetchSite) {
            let value = bytes.extracting(site.valueRange)
            let isOwn = HTTPSpan.equalsIgnoringCase(value, "same-origin") || HTTPSpan.equalsIgnoringCase(value, "none")
            self = isOwn && !fields.repeats(.secFetchSite) ? .own : .foreign
        } else {
            return nil
        }
    }
}

/// Whether the browser prefetches or prerenders, by the field of today or one of those before it.
func isFetchedAhead(_ fields: borrowing HeadFields) -> Bool {
    fields.contains(.secPurpose) || fields.contains(.purpose)
}

/// What the answer is for, as `Sec-Fetch-Dest` says it.
enum Destination {
    /// Not said.
    case unsaid
    /// A page of its own, in a tab or window.
    case document
    /// `fetch()` and the like.
    case empty
    /// A page within another.
    case iframe
    /// A page within another, by one of the elements from before and after `iframe`.
    case frame
    /// Part of a page: an image, a script.
    case other

    init(_ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        guard let field = fields.first(.secFetchDest) else {
            self = .unsaid
            return
        }
        let value = bytes.extracting(field.valueRange)
        if fields.repeats(.secFetchDest) {
            self = .other
        } else if HTTPSpan.equalsIgnoringCase(value, "document") {
            self = .document
        } else if HTTPSpan.equalsIgnoringCase(value, "empty") {
            self = .empty
        } else if HTTPSpan.equalsIgnoringCase(value, "iframe") {
            self = .iframe
        } else if HTTPSpan.equalsIgnoringCase(value, "frame") || HTTPSpan.equalsIgnoringCase(value, "embed")
            || HTTPSpan.equalsIgnoringCase(value, "object") || HTTPSpan.equalsIgnoringCase(value, "fencedframe")
        {
            self = .frame
        } else {
            self = .other
        }
    }
}
