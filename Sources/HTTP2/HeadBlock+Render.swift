import Wire

extension HeadBlock {
    enum Outcome {
        case request(Range<Int>, isTunnel: Bool)
        case refused(HTTP2Refusal)
    }

    /// Appends the head of the complete request as HTTP/1.1 writes it, or says why it is refused. `ends`: no body
    /// follows.
    mutating func finish(ends: Bool, into heads: inout ByteBuffer) -> Outcome {
        judge()
        if let refusal = sizeRefusal() { return .refused(refusal) }
        guard let method, let path, let name = authority ?? host else {
            return .refused(.badRequest("incomplete head"))
        }
        let start = heads.count
        parts.withReadable { parts in
            if isWebSocket { heads.append("GET") } else { heads.append(parts.extracting(method)) }
            heads.append(" ")
            heads.append(parts.extracting(path))
            heads.append(" HTTP/1.1\r\nHost: ")
            heads.append(parts.extracting(name))
            heads.append("\r\n")
        }
        lines.withReadable { heads.append($0) }
        if !cookie.isEmpty {
            heads.append("Cookie: ")
            cookie.withReadable { heads.append($0) }
            heads.append("\r\n")
        }
        if isWebSocket {
            heads.append("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ")
            WebSocketKey.append(to: &heads)
            heads.append("\r\n")
        } else if !ends, !hasLength {
            heads.append("Transfer-Encoding: chunked\r\n")
        }
        heads.append("\r\n")
        return .request(start..<heads.count, isTunnel: isWebSocket)
    }

    /// The rules that need the whole head.
    private mutating func judge() {
        if refusal != nil { return }
        if methodIs("CONNECT") {
            if !isWebSocket {
                refusal = .connectUnsupported
                return
            }
            if !hasWebSocketVersion { refuse("WebSocket without Sec-WebSocket-Version") }
        } else if hasProtocol {
            refuse(":protocol without CONNECT")
        }
        if !isSecure { refuse("target scheme is not https") }
        judgeTarget()
        judgeAuthority()
    }

    private mutating func judgeTarget() {
        guard let method, let path else { return refuse("incomplete head") }
        let isOptions = methodIs("OPTIONS")
        let why: StaticString? = parts.withReadable { parts in
            let path = parts.extracting(path)
            if !FieldText.isToken(parts.extracting(method)) { return "method is not a token" }
            if !FieldText.isVisible(path) { return "malformed :path" }
            if path[0] == UInt8(ascii: "*"), path.count == 1 {
                return isOptions ? nil : "target * without OPTIONS"
            }
            if path[0] != UInt8(ascii: "/") { return ":path does not begin with a slash" }
            return HTTPSpan.find(UInt8(ascii: "#"), in: path, 0..<path.count) == path.count ? nil : "fragment in :path"
        }
        if let why { refuse(why) }
    }

    /// Exactly one name of a host, by whichever field (RFC 9113 section 8.3.1).
    private mutating func judgeAuthority() {
        guard let name = authority ?? host else { return refuse("no Host") }
        let why: StaticString? = parts.withReadable { parts in
            if name.isEmpty { return "empty Host" }
            if !FieldText.isVisible(parts.extracting(name)) { return "malformed :authority" }
            guard let host, authority != nil else { return nil }
            let agree = HTTPSAuthority.equal(parts.extracting(name), parts.extracting(host))
            return agree ? nil : ":authority and Host disagree"
        }
        if let why { refuse(why) }
    }
}

/// The key of a handshake towards a server that speaks HTTP/1.1 (RFC 6455 section 4.1).
private enum WebSocketKey {
    static func append(to output: inout ByteBuffer) {
        var random = SystemRandomNumberGenerator()
        var bytes = ByteBuffer(capacity: 16)
        for _ in 0..<2 {
            let word = random.next()
            for place in 0..<8 { bytes.append(UInt8(truncatingIfNeeded: word &>> UInt64(place &* 8))) }
        }
        bytes.withReadable { Base64.encode($0, into: &output) }
    }
}
