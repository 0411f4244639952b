import Wire

/// Row 6: whether another site made this request on the user's behalf. Sibling containers are *same-site* to a browser,
/// so only the same origin is trusted (W3C Fetch Metadata, RFC 6454).
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
