extension FieldName {
    /// The one name of this length that `bytes[start..<end]` is, told by words of eight bytes whose letters are made
    /// small. Only for bytes without controls: the case bit would make a `-` of CR; it makes a letter of letters only.
    @inline(__always)
    static func recognise(_ bytes: borrowing Span<UInt8>, _ start: Int, _ end: Int) -> FieldName {
        precondition(start >= 0 && start <= end && end <= bytes.count)
        let length = end &- start
        if length <= 8 { return short(Word.load(bytes, start, count: length) | Word.lower, length) }
        if length > 27 { return .other }
        let first = unsafe Word.load(unchecked: bytes, start) | Word.lower
        let last = unsafe Word.load(unchecked: bytes, end &- 8) | Word.lower
        if length <= 16 { return medium(first, last, length) }
        let second = unsafe Word.load(unchecked: bytes, start &+ 8) | Word.lower
        // Three words leave a gap in names of more than twenty-four bytes.
        let third = length > 24 ? unsafe Word.load(unchecked: bytes, start &+ 16) | Word.lower : last
        return long(first, second, third, last, length)
    }

    /// Spaces fill a short word, as the case bit makes them of zeros.
    @inline(__always)
    private static func padded(_ text: StaticString) -> UInt64 { Word.packed(text) | Word.lower }

    @inline(__always)
    private static func short(_ word: UInt64, _ length: Int) -> FieldName {
        switch length {
        case 2: return word == padded("te") ? .te : .other
        case 4:
            switch word {
            case padded("host"): return .host
            case padded("etag"): return .etag
            case padded("vary"): return .vary
            case padded("date"): return .date
            default: return .other
            }
        case 5: return word == padded("range") ? .range : .other
        case 6:
            switch word {
            case padded("accept"): return .accept
            case padded("cookie"): return .cookie
            case padded("origin"): return .origin
            case padded("expect"): return .expect
            case padded("server"): return .server
            case padded("digest"): return .digest
            default: return .other
            }
        case 7:
            switch word {
            case padded("upgrade"): return .upgrade
            case padded("referer"): return .referer
            case padded("trailer"): return .trailer
            case padded("purpose"): return .purpose
            case padded("alt-svc"): return .altSvc
            default: return .other
            }
        case 8: return word == padded("location") ? .location : word == padded("if-match") ? .ifMatch : .other
        default: return .other
        }
    }

    @inline(__always)
    private static func medium(_ first: UInt64, _ last: UInt64, _ length: Int) -> FieldName {
        @inline(__always)
        func spells(_ head: StaticString, _ tail: StaticString) -> Bool {
            first == Word.packed(head) && last == Word.packed(tail)
        }
        switch length {
        case 9:
            if spells("forwarde", "orwarded") { return .forwarded }
            if spells("x-real-i", "-real-ip") { return .xRealIP }
        case 10:
            if spells("user-age", "er-agent") { return .userAgent }
            if spells("connecti", "nnection") { return .connection }
            if spells("set-cook", "t-cookie") { return .setCookie }
            if spells("keep-ali", "ep-alive") { return .keepAlive }
        case 11:
            if spells("x-zlh-to", "lh-token") { return .xZLHToken }
            if spells("sec-purp", "-purpose") { return .secPurpose }
            if spells("repr-dig", "r-digest") { return .digest }
            if spells("content-", "tent-md5") { return .digest }
        case 12:
            if spells("content-", "ent-type") { return .contentType }
            if spells("x-reques", "quest-id") { return .xRequestID }
        case 13:
            if spells("cache-co", "-control") { return .cacheControl }
            if spells("authoriz", "rization") { return .authorization }
            if spells("accept-r", "t-ranges") { return .acceptRanges }
            if spells("content-", "nt-range") { return .contentRange }
            if spells("if-none-", "ne-match") { return .ifMatch }
        case 14:
            if spells("sec-fetc", "tch-site") { return .secFetchSite }
            if spells("sec-fetc", "tch-mode") { return .secFetchMode }
            if spells("sec-fetc", "tch-dest") { return .secFetchDest }
            if spells("content-", "t-length") { return .contentLength }
            if spells("http2-se", "settings") { return .http2Settings }
            if spells("content-", "t-digest") { return .digest }
        case 15:
            if spells("accept-e", "encoding") { return .acceptEncoding }
            if spells("clear-si", "ite-data") { return .clearSiteData }
            if spells("public-k", "key-pins") { return .publicKeyPins }
        case 16:
            if spells("content-", "encoding") { return .contentEncoding }
            if spells("proxy-co", "nnection") { return .proxyConnection }
        default: break
        }
        return .other
    }

    @inline(__always)
    private static func long(
        _ first: UInt64, _ second: UInt64, _ third: UInt64, _ last: UInt64, _ length: Int
    ) -> FieldName {
        @inline(__always)
        func spells(_ head: StaticString, _ middle: StaticString, _ tail: StaticString) -> Bool {
            first == Word.packed(head) && second == Word.packed(middle) && last == Word.packed(tail)
        }
        switch length {
        case 17:
            if spells("transfer", "-encodin", "encoding") { return .transferEncoding }
            if spells("sec-webs", "ocket-ke", "cket-key") { return .secWebSocketKey }
        case 20 where spells("sec-webs", "ocket-ac", "t-accept"): return .secWebSocketAccept
        case 21 where spells("sec-webs", "ocket-ve", "-version"): return .secWebSocketVersion
        case 22 where spells("sec-webs", "ocket-pr", "protocol"): return .secWebSocketProtocol
        case 23 where spells("content-", "security", "y-policy"): return .contentSecurityPolicy
        case 24 where spells("sec-webs", "ocket-ex", "tensions"): return .secWebSocketExtensions
        case 25 where spells("strict-t", "ransport", "security") && third == Word.packed("-securit"):
            return .strictTransportSecurity
        case 27 where spells("public-k", "ey-pins-", "ort-only") && third == Word.packed("report-o"):
            return .publicKeyPins
        default: break
        }
        return .other
    }
}
