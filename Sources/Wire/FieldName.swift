/// The field names that the gateway knows, and families of names that it treats alike.
public enum FieldName: UInt8, Sendable, CaseIterable {
    /// Any name without a case of its own.
    case other = 0
    case host, connection, keepAlive, proxyConnection, te, trailer, transferEncoding, upgrade, contentLength
    case expect, cookie, setCookie, authorization, origin, accept, acceptEncoding, range
    case secFetchSite, secFetchMode, secFetchDest, purpose, secPurpose
    case secWebSocketKey, secWebSocketVersion, secWebSocketAccept, secWebSocketProtocol, secWebSocketExtensions
    case http2Settings, forwarded
    /// Any `X-Forwarded-*`.
    case xForwarded
    case xRealIP
    /// Any `X-Original-*`.
    case xOriginal
    /// Any `X-Rewrite-*`.
    case xRewrite
    /// Any name that begins with `Proxy`, but for `Proxy-Connection`.
    case proxy
    case xZLHToken
    /// Any other `X-ZLH-*`.
    case xZLH
    case xRequestID, clearSiteData, altSvc, strictTransportSecurity
    /// `Public-Key-Pins` and `Public-Key-Pins-Report-Only`.
    case publicKeyPins
    case contentType, contentEncoding, cacheControl, etag, vary, date, server, location, contentSecurityPolicy
    case referer, userAgent, acceptRanges, contentRange
    /// `Content-Digest`, `Repr-Digest`, `Digest` and `Content-MD5`, which tell a hash of the content as it is coded.
    case digest
    /// `If-Match` and `If-None-Match`, which list entity tags.
    case ifMatch
    /// Any name that holds `_`, which some programs take for `-`.
    case underscore
}

extension FieldName {
    /// The known name that `name` spells, whatever its case; `.other` also when it is not a token.
    public init(recognising name: borrowing Span<UInt8>) {
        self = Self.any(name) ?? .other
    }

    /// Whether `name` is a token (RFC 9110 section 5.1): not empty, no separators, no controls.
    public static func isToken(_ name: borrowing Span<UInt8>) -> Bool { any(name) != nil }

    private static func any(_ name: borrowing Span<UInt8>) -> FieldName? {
        let count = name.count
        let isPlain = ByteSearch.first(.notPlainName, name, 0, count) == count
        return isPlain ? plain(name, 0, count) : odd(name, 0, count)
    }

    /// A name of letters, digits and `-` only; nil when it is empty.
    @inline(__always)
    static func plain(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> FieldName? {
        let known = recognise(bytes, start, end)
        if known != .other { return known }
        guard start < end else { return nil }
        // Every family begins with X or P.
        let first = bytes[start] | 0x20
        return first == UInt8(ascii: "x") || first == UInt8(ascii: "p") ? family(bytes, start, end) : .other
    }

    /// A name with other bytes; nil when it is not a token.
    static func odd(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> FieldName? {
        var underscore = false
        for at in start..<end {
            guard Byte.isToken(bytes[at]) else { return nil }
            if bytes[at] == UInt8(ascii: "_") { underscore = true }
        }
        return start == end ? nil : underscore ? .underscore : family(bytes, start, end)
    }

    private static func family(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> FieldName {
        let first = Word.load(bytes, start, count: end &- start) | Word.lower
        if first & 0xff_ffff_ffff == Word.packed("proxy") { return .proxy }
        guard first & 0xffff == Word.packed("x-") else { return .other }
        if first & 0xffff_ffff_ffff == Word.packed("x-zlh-") { return .xZLH }
        guard end &- start > 8 else { return .other }
        let second = Word.load(bytes, start &+ 8, count: end &- start &- 8) | Word.lower
        switch first {
        case Word.packed("x-forwar"): return second & 0xffff_ffff == Word.packed("ded-") ? .xForwarded : .other
        case Word.packed("x-origin"): return second & 0xff_ffff == Word.packed("al-") ? .xOriginal : .other
        case Word.packed("x-rewrit"): return second & 0xffff == Word.packed("e-") ? .xRewrite : .other
        default: return .other
        }
    }
}
