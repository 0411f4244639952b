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
        if HTTPSpan.equal(name, ":method") {
            if method != nil { refuse("repeated pseudo-field") }
            method = keep(value)
        } else if HTTPSpan.equal(name, ":path") {
            if path != nil { refuse("repeated pseudo-field") }
            path = keep(value)
        } else if HTTPSpan.equal(name, ":authority") {
            if authority != nil { refuse("repeated pseudo-field") }
            authority = keep(value)
        } else if HTTPSpan.equal(name, ":scheme") {
            isSecure = HTTPSpan.equalsIgnoringCase(value, "https")
        } else if HTTPSpan.equal(name, ":protocol") {
            hasProtocol = true
            isWebSocket = HTTPSpan.equalsIgnoringCase(value, "websocket")
        } else {
            refuse("unknown pseudo-field")
        }
    }

    private mutating func keep(_ value: borrowing Span<UInt8>) -> Range<Int> {
        let start = parts.count
        parts.append(value)
        return start..<parts.count
    }
}

/// What bytes may stand where. nghttp2 checks most of this; what is written as HTTP/1.1 is checked here in any case.
enum FieldText {
    /// A token without upper case (RFC 9113 section 8.2.1).
    static func isName(_ bytes: borrowing Span<UInt8>) -> Bool {
        for at in 0..<bytes.count where !isToken(bytes[at]) || bytes[at] &- 0x41 < 26 { return false }
        return !bytes.isEmpty
    }

    static func isToken(_ bytes: borrowing Span<UInt8>) -> Bool {
        for at in 0..<bytes.count where !isToken(bytes[at]) { return false }
        return !bytes.isEmpty
    }

    /// No control but the tab (RFC 9110 section 5.5).
    static func isValue(_ bytes: borrowing Span<UInt8>) -> Bool {
        for at in 0..<bytes.count where bytes[at] < 0x20 && bytes[at] != 0x09 || bytes[at] == 0x7f { return false }
        return true
    }

    /// Visible ASCII.
    static func isVisible(_ bytes: borrowing Span<UInt8>) -> Bool {
        for at in 0..<bytes.count where bytes[at] <= 0x20 || bytes[at] >= 0x7f { return false }
        return !bytes.isEmpty
    }

    /// `tchar` of RFC 9110 section 5.6.2, as bits for 0x00...0x3f and 0x40...0x7f.
    private static func isToken(_ byte: UInt8) -> Bool {
        let low: UInt64 = 0x03ff_6cfa_0000_0000
        let high: UInt64 = 0x57ff_ffff_c7ff_fffe
        if byte >= 0x80 { return false }
        return ((byte < 0x40 ? low : high) &>> UInt64(byte & 0x3f)) & 1 != 0
    }
}
