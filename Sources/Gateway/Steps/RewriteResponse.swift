import Wire

/// How an answer's body is delimited towards the client.
enum AnswerFraming: Sendable {
    case none, length, chunked, untilClose
    /// By HTTP/2 itself.
    case frames
}

/// What an answer gets that the container does not decide.
struct AnswerFacts {
    let id: RequestID
    let framing: AnswerFraming
    let coding: Coding
    /// `nil` leaves the field out, as HTTP/1.1 keeps the connection by default.
    let connection: StaticString?
    let sendsHSTS: Bool
    /// Whether the container's length describes the body (or, for HEAD and 304, the body there would be).
    let keepsLength: Bool
    let keepsTrailerField: Bool
    /// 304, with a tag that the client knows as compression made it.
    let codesTag: Bool
    /// For an answer without a date, which gets one (RFC 9110 section 6.6.1).
    let epochSeconds: Int64
}

/// Renders the container's final answer head for an HTTP/1 client: its fields byte for byte, less what is between it and
/// us or not its to say (hop-by-hop fields, our cookies, HSTS), plus ours.
func rewriteResponse(
    _ head: ResponseHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ facts: AnswerFacts,
    into out: inout ByteBuffer
) throws(GatewayFailure) {
    appendStatusLine(head, bytes, into: &out)
    try appendAnswerFields(
        bytes, fields, coding: facts.coding, codesTag: facts.codesTag || facts.coding == .gzip,
        keepsLength: facts.keepsLength, keepsTrailerField: facts.keepsTrailerField, into: &out)
    if !fields.contains(.date) {
        out.append("Date: ")
        HTTPDate.append(epochSeconds: facts.epochSeconds, to: &out)
        out.append("\r\n")
    }
    if facts.coding == .gzip { out.append("Content-Encoding: gzip\r\n") }
    if facts.coding != .identity || facts.codesTag, VaryHeader.lacksAcceptEncoding(bytes, fields) {
        out.append("Vary: Accept-Encoding\r\n")
    }
    if facts.framing == .chunked { out.append("Transfer-Encoding: chunked\r\n") }
    if let connection = facts.connection {
        out.append("Connection: ")
        out.append(connection)
        out.append("\r\n")
    }
    appendGatewayFields(facts.id, sendsHSTS: facts.sendsHSTS, into: &out)
    out.append("Content-Security-Policy: frame-ancestors 'self'\r\n\r\n")
}

/// Renders a 100 or 103, or the 101 of a WebSocket.
func rewriteInterim(
    _ head: ResponseHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, id: RequestID, sendsHSTS: Bool,
    into out: inout ByteBuffer
) throws(GatewayFailure) {
    appendStatusLine(head, bytes, into: &out)
    try appendAnswerFields(
        bytes, fields, coding: .identity, codesTag: false, keepsLength: false, keepsTrailerField: false, into: &out)
    if head.status == 101 {
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
        appendGatewayFields(id, sendsHSTS: sendsHSTS, into: &out)
    }
    out.append("\r\n")
}

/// The fields that every final answer carries, ours or the container's.
func appendGatewayFields(_ id: RequestID, sendsHSTS: Bool, into out: inout ByteBuffer) {
    if sendsHSTS { out.append("Strict-Transport-Security: max-age=31536000\r\n") }
    out.append("X-Request-Id: ")
    id.append(to: &out)
    out.append("\r\n")
}

private func appendStatusLine(_ head: ResponseHead, _ bytes: borrowing Span<UInt8>, into out: inout ByteBuffer) {
    out.append("HTTP/1.1 ")
    out.append(decimal: UInt64(head.status))
    out.append(UInt8(ascii: " "))
    out.append(bytes, head.reasonRange)
    out.append("\r\n")
}

private func appendAnswerFields(
    _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, coding: Coding, codesTag: Bool, keepsLength: Bool,
    keepsTrailerField: Bool, into out: inout ByteBuffer
) throws(GatewayFailure) {
    let nominated: NominatedFields
    do throws(GatewayFailure) {
        nominated = try NominatedFields(bytes, fields)
    } catch {
        throw .badGateway("Its Connection field has too many members.")
    }
    var kept = KeptLines()
    for index in 0..<fields.count {
        let field = fields[index]
        let keeps: Bool
        switch field.name {
        case .connection, .keepAlive, .proxyConnection, .te, .transferEncoding, .upgrade, .proxy, .altSvc,
            .strictTransportSecurity, .publicKeyPins, .xRequestID:
            keeps = false
        case .trailer: keeps = keepsTrailerField
        case .contentLength: keeps = keepsLength
        case .setCookie:
            let value = bytes.extracting(field.valueRange)
            let isOurs = SetCookieHeader.isOurs(value)
            keeps = !isOurs && !SetCookieHeader.hasDomain(value)
            if !keeps && !isOurs {
                kept.flush(bytes, into: &out)
                out.append("Set-Cookie: ")
                SetCookieHeader.appendWithoutDomain(value, to: &out)
                out.append("\r\n")
            }
        case .clearSiteData:
            keeps = false
            kept.flush(bytes, into: &out)
            let mark = out.count
            out.append("Clear-Site-Data: ")
            if ClearSiteData.appendAllowed(bytes.extracting(field.valueRange), to: &out) {
                out.append("\r\n")
            } else {
                out.dropLast(out.count - mark)
            }
        case .acceptRanges where coding == .gzip, .contentEncoding where coding == .gzip: keeps = false
        case .date: keeps = true
        case .etag where codesTag:
            keeps = false
            if nominated.names(field, bytes, fields) { break }
            kept.flush(bytes, into: &out)
            let mark = out.count
            out.append("ETag: ")
            if EntityTag.appendCoded(bytes.extracting(field.valueRange), to: &out) {
                out.append("\r\n")
            } else {
                out.dropLast(out.count - mark)
            }
        default: keeps = !nominated.names(field, bytes, fields)
        }
        if keeps { kept.keep(field, bytes, into: &out) }
    }
    kept.flush(bytes, into: &out)
}
