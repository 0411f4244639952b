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
    case referer, userAgent
    /// Any name that holds `_`, which some programs take for `-`.
    case underscore
}

extension FieldName {
    /// The known name that `name` spells, whatever its case; `name` must be a token (`isToken`).
    public init(recognising name: borrowing Span<UInt8>) {
        self = Self.recognise(name, 0, name.count)
        if self == .other { self = Self.family(name, 0, name.count) }
    }

    /// Whether `name` is a token (RFC 9110 section 5.1): not empty, no separators, no controls.
    public static func isToken(_ name: borrowing Span<UInt8>) -> Bool {
        isToken(name, 0, name.count)
    }

    static func isToken(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> Bool {
        if start >= end { return false }
        var at = start
        while at < end {
            if at &+ 8 <= end {
                let odd = Word.notPlainName(Word.load(bytes, at))
                if odd == 0 {
                    at &+= 8
                    continue
                }
                at &+= Word.first(odd)
            }
            if !Byte.isToken(bytes[at]) { return false }
            at &+= 1
        }
        return true
    }

    /// The family of a name that is none of the known ones.
    static func family(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> FieldName {
        for at in start..<end where bytes[at] == UInt8(ascii: "_") { return .underscore }
        let first = Word.load(bytes, start, count: end &- start) | Word.lower
        if first & 0xff_ffff_ffff == Word.packed("proxy") { return .proxy }
        guard first & 0xffff == Word.packed("x-") else { return .other }
        if first & 0xffff_ffff_ffff == Word.packed("x-zlh-") { return .xZLH }
        let second = end &- start > 8 ? Word.load(bytes, start &+ 8, count: end &- start &- 8) | Word.lower : 0
        switch first {
        case Word.packed("x-forwar"): return second & 0xffff_ffff == Word.packed("ded-") ? .xForwarded : .other
        case Word.packed("x-origin"): return second & 0xff_ffff == Word.packed("al-") ? .xOriginal : .other
        case Word.packed("x-rewrit"): return second & 0xffff == Word.packed("e-") ? .xRewrite : .other
        default: return .other
        }
    }
}
