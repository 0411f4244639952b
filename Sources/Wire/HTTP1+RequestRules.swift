extension HTTP1 {
    /// The rules that need the whole request: version, Host, target, framing, connection and upgrade.
    static func judge(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ head: inout RequestHead, requiresHost: Bool
    ) throws(HeadDefect) {
        if head.minorVersion > 1 { throw .versionUnsupported }
        if requiresHost { try judgeAuthority(bytes, fields, &head) }
        head.framing = try framing(bytes, fields, head.minorVersion)
        switch head.method {
        case .connect: throw .connectUnsupported
        case .trace: throw .methodTrace
        default: break
        }
        let connection = ConnectionOptions(bytes, fields)
        head.keepAlive = connection.keepAlive(head.minorVersion)
        if let expect = fields.first(.expect), head.minorVersion == 1 {
            head.expectContinue =
                !fields.repeats(.expect)
                && HTTPSpan.equalsIgnoringCase(bytes.extracting(expect.valueRange), "100-continue")
        }
        if fields.contains(.upgrade) {
            let isHandshake =
                head.method == .get && head.minorVersion == 1 && connection.upgrade
                && isWebSocketHandshake(bytes, fields)
            // Bytes between a handshake and its 101 are read by one side as a body and by the other as frames.
            if isHandshake, head.framing != .none, head.framing != .length(0) {
                throw .badRequest("a WebSocket handshake with a body")
            }
            // Some proxies in front say of every request that it has no body.
            if isHandshake { head.framing = .none }
            head.isWebSocketUpgrade = isHandshake
            head.hasOtherUpgrade = !isHandshake
        }
    }

    /// Exactly one Host, and an absolute target that agrees with it (RFC 9112 sections 3.2 and 3.2.2).
    private static func judgeAuthority(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ head: inout RequestHead
    ) throws(HeadDefect) {
        guard let host = fields.first(.host) else { throw .badRequest("no Host") }
        if fields.repeats(.host) { throw .badRequest("more than one Host") }
        let authority = host.valueRange
        if authority.isEmpty { throw .badRequest("empty Host") }
        head.authority = Slice(authority)
        switch head.form {
        case .origin, .authority: break
        case .asterisk:
            if head.method != .options { throw .badRequest("target * without OPTIONS") }
        case .absolute:
            let target = bytes.extracting(head.target.range)
            if !HTTPSpan.hasPrefixIgnoringCase(target, "https://") { throw .uriSchemeNotAllowed }
            let inner = bytes.extracting(head.targetAuthority.range)
            if !HTTPSAuthority.equal(inner, bytes.extracting(authority)) {
                throw .badRequest("target and Host disagree")
            }
        }
    }

    /// The body's delimitation, the same for requests and answers so far as they agree (RFC 9112 section 6.3): `.none`
    /// when no field speaks of it. Never two opinions.
    static func framing(
        _ bytes: borrowing Span<UInt8>, _ fields: HeadFields, _ minorVersion: UInt8
    ) throws(HeadDefect) -> BodyFraming {
        if let coding = fields.first(.transferEncoding) {
            if minorVersion == 0 { throw .badRequest("Transfer-Encoding in HTTP/1.0") }
            if fields.contains(.contentLength) { throw .badRequest("Transfer-Encoding and Content-Length") }
            guard !fields.repeats(.transferEncoding),
                HTTPSpan.equalsIgnoringCase(bytes.extracting(coding.valueRange), "chunked")
            else { throw .transferEncodingUnsupported }
            return .chunked
        }
        if let length = fields.first(.contentLength) {
            if fields.repeats(.contentLength) { throw .badRequest("more than one Content-Length") }
            guard let count = HTTPSpan.decimal(bytes.extracting(length.valueRange)) else {
                throw .badRequest("malformed Content-Length")
            }
            return .length(count)
        }
        return .none
    }

    /// The fields of an opening handshake (RFC 6455 section 4.2.1); what version it asks for is the peer's affair.
    private static func isWebSocketHandshake(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        guard let key = fields.first(.secWebSocketKey), !fields.repeats(.secWebSocketKey),
            Base64.isSixteenBytes(bytes.extracting(key.valueRange)),
            fields.contains(.secWebSocketVersion)
        else { return false }
        for index in 0..<fields.count where fields[index].name == .upgrade {
            if ListHeader.contains("websocket", in: bytes.extracting(fields[index].valueRange)) { return true }
        }
        return false
    }
}

/// What the `Connection` fields ask for (RFC 9110 section 7.6.1), together with the old `Keep-Alive` habit.
struct ConnectionOptions {
    private(set) var close = false
    private(set) var keepAlive = false
    private(set) var upgrade = false

    init(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) {
        guard let first = fields.first(.connection) else { return }
        add(bytes.extracting(first.valueRange))
        guard fields.repeats(.connection) else { return }
        for index in 0..<fields.count where fields[index].name == .connection {
            add(bytes.extracting(fields[index].valueRange))
        }
    }

    private mutating func add(_ value: borrowing Span<UInt8>) {
        if value.count == 10, HTTPSpan.equal(value, "keep-alive") {
            keepAlive = true
            return
        }
        var members = ListMembers()
        while let range = members.next(in: value) {
            let member = value.extracting(range)
            switch member.count {
            case 5: if HTTPSpan.equalsIgnoringCase(member, "close") { close = true }
            case 7: if HTTPSpan.equalsIgnoringCase(member, "upgrade") { upgrade = true }
            case 10: if HTTPSpan.equalsIgnoringCase(member, "keep-alive") { keepAlive = true }
            default: break
            }
        }
    }

    /// RFC 9112 section 9.3.
    func keepAlive(_ minorVersion: UInt8) -> Bool {
        if close { return false }
        return minorVersion > 0 || keepAlive
    }
}
