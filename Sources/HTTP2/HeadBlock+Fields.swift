import Wire

extension HeadBlock {
    /// Keeps a field other than a cookie, or says why the request is refused.
    mutating func addField(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) {
        if name.count > 0, name[0] == UInt8(ascii: ":") {
            addPseudo(name, value)
            return
        }
        guard FieldText.isName(name) else { return refuse("field name is not a lower-case token") }
        guard FieldText.isValue(value) else { return refuse("control byte in a field value") }
        switch name.count {
        case 4 where HTTPSpan.equal(name, "host"):
            if host != nil { return refuse("more than one Host") }
            host = keep(value)
            return
        case 7 where HTTPSpan.equal(name, "upgrade"), 10 where HTTPSpan.equal(name, "connection"),
            10 where HTTPSpan.equal(name, "keep-alive"), 16 where HTTPSpan.equal(name, "proxy-connection"),
            17 where HTTPSpan.equal(name, "transfer-encoding"):
            // RFC 9113 section 8.2.2.
            return refuse("connection field in HTTP/2")
        case 8 where HTTPSpan.equal(name, "priority"):
            setPriority(value)
        case 14 where HTTPSpan.equal(name, "content-length"):
            if hasLength { return refuse("more than one Content-Length") }
            hasLength = true
        case 17 where hasProtocol && HTTPSpan.equal(name, "sec-websocket-key"):
            // HTTP/2 has no use for one (RFC 8441 section 5); the handshake gets a key of our own.
            return
        case 21 where HTTPSpan.equal(name, "sec-websocket-version"):
            hasWebSocketVersion = true
        default: break
        }
        lines.append(name)
        lines.append(": ")
        lines.append(value)
        lines.append("\r\n")
    }

    /// Joins the pieces into which clients cut cookies for HPACK's sake (RFC 9113 section 8.2.3).
    mutating func addCookie(_ value: borrowing Span<UInt8>) {
        guard FieldText.isValue(value) else { return refuse("control byte in a field value") }
        if !cookie.isEmpty { cookie.append("; ") }
        cookie.append(value)
    }

    /// RFC 9113 section 8.3.1 and RFC 8441 section 4. nghttp2 refuses unknown ones.
    private mutating func addPseudo(_ name: borrowing Span<UInt8>, _ value: borrowing Span<UInt8>) {
        switch name.count {
        case 5 where HTTPSpan.equal(name, ":path"):
            if path != nil { refuse("repeated pseudo-field") }
            path = keep(value)
        case 7 where HTTPSpan.equal(name, ":method"):
            if method != nil { refuse("repeated pseudo-field") }
            method = keep(value)
        case 7 where HTTPSpan.equal(name, ":scheme"):
            isSecure = HTTPSpan.equalsIgnoringCase(value, "https")
        case 9 where HTTPSpan.equal(name, ":protocol"):
            hasProtocol = true
            isWebSocket = HTTPSpan.equalsIgnoringCase(value, "websocket")
        case 10 where HTTPSpan.equal(name, ":authority"):
            if authority != nil { refuse("repeated pseudo-field") }
            authority = keep(value)
        default: refuse("unknown pseudo-field")
        }
    }

    private mutating func keep(_ value: borrowing Span<UInt8>) -> Range<Int> {
        let start = parts.count
        parts.append(value)
        return start..<parts.count
    }
}
