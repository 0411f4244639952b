import Wire

/// What several steps ask about a request, worked out once.
struct RequestFacts: Sendable {
    /// Loads a page: GET or HEAD with `Sec-Fetch-Mode: navigate`, or without that field an `Accept` that has HTML.
    let isNavigation: Bool
    /// Whether a person reads the answer: a navigation of any method.
    let wantsPage: Bool
    /// A WebSocket opening handshake.
    let isUpgrade: Bool

    init(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields) {
        let navigates: Bool
        if let mode = fields.first(.secFetchMode) {
            navigates = HTTPSpan.equalsIgnoringCase(bytes.extracting(mode.valueRange), "navigate")
        } else if let accept = fields.first(.accept) {
            navigates = Self.acceptsHTML(bytes.extracting(accept.valueRange))
        } else {
            navigates = false
        }
        isUpgrade = head.isWebSocketUpgrade
        wantsPage = navigates && !isUpgrade
        isNavigation = wantsPage && (head.method == .get || head.method == .head)
    }

    private static func acceptsHTML(_ value: borrowing Span<UInt8>) -> Bool {
        var members = ListMembers()
        while let member = members.next(in: value) {
            if HTTPSpan.hasPrefixIgnoringCase(value.extracting(member), "text/html") { return true }
        }
        return false
    }
}
