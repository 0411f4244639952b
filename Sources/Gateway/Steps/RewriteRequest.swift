import Wire

/// Renders the fields that say to the container who asks and for what host: the same for every request of a connection
/// with the same Host, so made once. It ends where the request's id goes. `host` is the Host in lower case,
/// `defaultPort` the port that stands for none in it.
func renderForwarded(
    client: IPAddress, host: borrowing Span<UInt8>, defaultPort: UInt16, into out: inout ByteBuffer
) {
    out.append("Host: ")
    out.append(host)
    out.append("\r\nX-Forwarded-For: ")
    out.append(address: client)
    out.append("\r\nX-Forwarded-Host: ")
    out.append(host)
    out.append("\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: ")
    appendPort(of: host, default: defaultPort, into: &out)
    out.append("\r\nX-Request-Id: ")
}

/// Renders the request for the container: the client's fields byte for byte, less what is between it and us or
/// would claim to be ours, plus `forwarded` and `id`. Entity tags that compression changed are as the container made them,
/// and are put into `restoredTags` too.
func rewriteRequest(
    _ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, forwarded: borrowing Span<UInt8>,
    id: RequestID, restoredTags: inout ByteBuffer, into out: inout ByteBuffer
) throws(GatewayFailure) {
    let nominated = try NominatedFields(bytes, fields)
    out.append(bytes, head.methodRange)
    out.append(UInt8(ascii: " "))
    appendTarget(head, bytes, into: &out)
    out.append(" HTTP/1.1\r\n")
    out.append(forwarded)
    id.append(to: &out)
    out.append("\r\n")

    var kept = KeptLines()
    for index in 0..<fields.count {
        let field = fields[index]
        let keeps: Bool
        switch field.name {
        case .host, .connection, .keepAlive, .proxyConnection, .te, .trailer, .transferEncoding, .upgrade,
            .http2Settings, .forwarded, .xForwarded, .xRealIP, .xOriginal, .xRewrite, .proxy, .xZLHToken, .xZLH,
            .xRequestID, .underscore, .expect:
            keeps = false
        case .cookie:
            kept.flush(bytes, into: &out)
            keeps = !appendCookie(field, bytes, into: &out)
        case .authorization: keeps = true
        case .contentLength: keeps = !head.isWebSocketUpgrade
        case .ifMatch:
            let value = bytes.extracting(field.valueRange)
            keeps = !nominated.names(field, bytes, fields)
            guard keeps, EntityTag.holdsMark(value) else { break }
            kept.flush(bytes, into: &out)
            out.append(bytes, field.nameRange)
            out.append(": ")
            EntityTag.appendRestored(value, to: &out, restored: &restoredTags)
            out.append("\r\n")
            continue
        default: keeps = !nominated.names(field, bytes, fields)
        }
        if keeps { kept.keep(field, bytes, into: &out) }
    }
    kept.flush(bytes, into: &out)

    if head.isWebSocketUpgrade {
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n")
    } else if head.framing == .chunked {
        out.append(chunkedField)
    } else if head.framing == .none {
        appendLength(0, head.method, into: &out)
    }
    out.append("\r\n")
}

private let chunkedField: StaticString = "Transfer-Encoding: chunked\r\n"

/// Gives a rewritten head, which said that its body comes in chunks, the length that has become known.
func replaceChunked(withLength count: Int, _ method: Method, in out: inout ByteBuffer) {
    out.dropLast(chunkedField.utf8CodeUnitCount + 2)
    appendLength(count, method, into: &out)
    out.append("\r\n")
}

private func appendLength(_ count: Int, _ method: Method, into out: inout ByteBuffer) {
    guard count > 0 || method.expectsContent else { return }
    out.append("Content-Length: ")
    out.append(decimal: UInt64(count))
    out.append("\r\n")
}

/// Origin form, the raw bytes of path and query as they came (RFC 9112 section 3.2.1); the asterisk form where an OPTIONS
/// names the host alone (section 3.2.4).
private func appendTarget(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, into out: inout ByteBuffer) {
    guard head.form == .absolute else {
        out.append(bytes, head.targetRange)
        return
    }
    if head.pathRange.isEmpty {
        let asksHost = head.method == .options && head.queryRange == nil
        out.append(asksHost ? UInt8(ascii: "*") : UInt8(ascii: "/"))
    }
    out.append(bytes, head.pathRange)
    if let query = head.queryRange {
        out.append(UInt8(ascii: "?"))
        out.append(bytes, query)
    }
}

/// Appends what is left of a `Cookie` field without our own cookies; false, and nothing, when it has none of them.
private func appendCookie(_ field: HeadField, _ bytes: borrowing Span<UInt8>, into out: inout ByteBuffer) -> Bool {
    let mark = out.count
    out.append(bytes, field.nameRange)
    out.append(": ")
    let rest = CookieHeader.appendWithoutOurs(bytes.extracting(field.valueRange), to: &out)
    if rest == .some {
        out.append("\r\n")
    } else {
        out.dropLast(out.count - mark)
    }
    return rest != .all
}

private func appendPort(of host: borrowing Span<UInt8>, default port: UInt16, into out: inout ByteBuffer) {
    var at = host.count
    while at > 0, host[at - 1] != UInt8(ascii: ":") { at -= 1 }
    if at > 0 && at < host.count {
        out.append(host, at..<host.count)
    } else {
        out.append(decimal: UInt64(port))
    }
}

/// The fields that `Connection` names as hop-by-hop (RFC 9110 section 7.6.1). It cannot unseat what the framing, the
/// routing and the authorisation rest on.
struct NominatedFields {
    private let isEmpty: Bool

    /// Reads the `Connection` fields; more than 64 members is no honest client.
    init(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) throws(GatewayFailure) {
        guard let first = fields.first(.connection) else {
            isEmpty = true
            return
        }
        if !fields.repeats(.connection), HTTPSpan.equalsIgnoringCase(bytes.extracting(first.valueRange), "keep-alive") {
            isEmpty = true
            return
        }
        var foreign = false
        var count = 0
        for index in 0..<fields.count where fields[index].name == .connection {
            let value = bytes.extracting(fields[index].valueRange)
            var members = ListMembers()
            while let member = members.next(in: value) {
                count += 1
                let name = value.extracting(member)
                if !HTTPSpan.equalsIgnoringCase(name, "keep-alive") && !HTTPSpan.equalsIgnoringCase(name, "close")
                    && !HTTPSpan.equalsIgnoringCase(name, "upgrade")
                {
                    foreign = true
                }
            }
        }
        if count > 64 { throw .badRequest("The Connection field has too many members.") }
        isEmpty = !foreign
    }

    func names(_ field: HeadField, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        if isEmpty { return false }
        switch field.name {
        case .host, .cookie, .authorization, .contentLength, .transferEncoding: return false
        default: break
        }
        for index in 0..<fields.count where fields[index].name == .connection {
            let value = bytes.extracting(fields[index].valueRange)
            var members = ListMembers()
            while let member = members.next(in: value) {
                if HTTPSpan.equalsIgnoringCase(value.extracting(member), bytes.extracting(field.nameRange)) {
                    return true
                }
            }
        }
        return false
    }
}
