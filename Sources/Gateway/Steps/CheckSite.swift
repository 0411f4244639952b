import Wire

/// Step *site*: whether another site made this request on the user's behalf. Sibling containers are *same-site* to a
/// browser, so only the same origin is trusted (W3C Fetch Metadata, RFC 6454).
func checkSite(
    _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, usesHeaderToken: Bool,
    hasSessionCookie: Bool
) throws(GatewayFailure) {
    let foreign = GatewayFailure.forbidden("This request came from another site.")
    if fields.repeats(.origin) || fields.repeats(.secFetchSite) { throw foreign }

    if head.isWebSocketUpgrade {
        guard let origin = fields.first(.origin) else {
            if usesHeaderToken && !hasSessionCookie { return }
            throw foreign
        }
        guard isOwnOrigin(origin.valueRange, head, bytes) else { throw foreign }
        return
    }
    // A service worker of ours that fetches a sibling's form again makes it look same-origin (Firefox). Only Referer
    // names the sibling then; where it is withheld, Origin is null.
    if !head.method.isSafe {
        if namesForeignReferer(head, bytes, fields) { throw foreign }
        if isRefetched(bytes, fields), let origin = fields.first(.origin), !isOwnOrigin(origin.valueRange, head, bytes)
        {
            throw foreign
        }
    }
    if let site = fields.first(.secFetchSite) {
        let value = bytes.extracting(site.valueRange)
        if HTTPSpan.equalsIgnoringCase(value, "same-origin") || HTTPSpan.equalsIgnoringCase(value, "none") { return }
        guard HTTPSpan.equalsIgnoringCase(value, "same-site") || HTTPSpan.equalsIgnoringCase(value, "cross-site"),
            head.method == .get || head.method == .head,
            let mode = fields.first(.secFetchMode),
            HTTPSpan.equalsIgnoringCase(bytes.extracting(mode.valueRange), "navigate"),
            let destination = fields.first(.secFetchDest),
            HTTPSpan.equalsIgnoringCase(bytes.extracting(destination.valueRange), "document")
                || HTTPSpan.equalsIgnoringCase(bytes.extracting(destination.valueRange), "empty")
        else { throw foreign }
        return
    }
    if !head.method.isSafe, let origin = fields.first(.origin), !isOwnOrigin(origin.valueRange, head, bytes) {
        throw foreign
    }
}

/// Whether an Origin is `https://` and the Host as received, lower-cased, port included but for 443, which is as none.
/// Browsers serialise an origin in lower case (RFC 6454 section 6.2); another spelling is not theirs.
func isOwnOrigin(_ origin: Range<Int>, _ head: RequestHead, _ bytes: borrowing Span<UInt8>) -> Bool {
    let value = bytes.extracting(origin)
    let scheme: StaticString = "https://"
    guard HTTPSpan.hasPrefix(value, scheme) else { return false }
    return HTTPSAuthority.equal(
        origin: value.extracting(droppingFirst: scheme.utf8CodeUnitCount), bytes.extracting(head.authorityRange))
}

/// Whether `Referer` names an origin other than `https://` and the Host as received. One without an origin (`about:blank`,
/// a path) names none; one that is doubtful names another.
func namesForeignReferer(
    _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: borrowing HeadFields
) -> Bool {
    guard let referer = fields.first(.referer) else { return false }
    if fields.repeats(.referer) { return true }
    let value = bytes.extracting(referer.valueRange)
    let start: Int
    if HTTPSpan.hasPrefixIgnoringCase(value, "https://") {
        start = 8
    } else if HTTPSpan.hasPrefix(value, "//") {
        start = 2
    } else {
        return hasScheme(value) && !HTTPSpan.hasPrefixIgnoringCase(value, "about:")
    }
    var end = start
    while end < value.count, !endsAuthority(value[end]) { end += 1 }
    return !HTTPSAuthority.equal(value.extracting(start..<end), bytes.extracting(head.authorityRange))
}

/// What ends an authority, for browsers too (WHATWG URL, "authority state").
private func endsAuthority(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "/") || byte == UInt8(ascii: "?") || byte == UInt8(ascii: "#") || byte == UInt8(ascii: "\\")
}

/// Whether a URL reference begins with a scheme (RFC 3986 section 4.2: no path does that has a `:` before its first `/`).
private func hasScheme(_ url: borrowing Span<UInt8>) -> Bool {
    for at in 0..<url.count {
        if url[at] == UInt8(ascii: ":") { return true }
        if endsAuthority(url[at]) { return false }
    }
    return false
}
