/// What a `Content-Type` (RFC 9110 section 8.3) says about compressing the content.
public enum ContentType: Sendable, Equatable {
    /// Made ahead and the same for whoever asks: scripts, style sheets, WebAssembly, fonts.
    case asset
    /// Text that may be made for this request: HTML, JSON, XML (SVG too), plain text and their kin.
    case text
    /// Not worth compressing, as most of it is compressed already, or not to be held back, as events are.
    case other

    /// The kind that `value` names; its parameters do not matter. Whatever is malformed is `other`.
    public init(_ value: borrowing Span<UInt8>) {
        let semicolon = HTTPSpan.find(UInt8(ascii: ";"), in: value, 0..<value.count)
        let type = value.extracting(HTTPSpan.trimmed(value, 0..<semicolon))
        let slash = HTTPSpan.find(UInt8(ascii: "/"), in: type, 0..<type.count)
        guard Self.isToken(type, 0..<slash), Self.isToken(type, slash &+ 1..<max(slash &+ 1, type.count)) else {
            self = .other
            return
        }
        if Self.isAsset(type) {
            self = .asset
        } else if Self.isText(type) {
            self = .text
        } else {
            self = .other
        }
    }

    private static func isAsset(_ type: borrowing Span<UInt8>) -> Bool {
        switch type.count {
        case 8: names(type, "text/css") || names(type, "font/ttf") || names(type, "font/otf")
        case 9: names(type, "font/sfnt")
        case 15: names(type, "text/javascript") || names(type, "text/ecmascript")
        case 16: names(type, "application/wasm")
        case 17: names(type, "text/x-javascript")
        case 22:
            names(type, "application/javascript") || names(type, "application/x-font-ttf")
                || names(type, "application/x-font-otf") || names(type, "application/ecmascript")
        case 24: names(type, "application/x-javascript")
        case 29: names(type, "application/vnd.ms-fontobject")
        default: false
        }
    }

    private static func isText(_ type: borrowing Span<UInt8>) -> Bool {
        if HTTPSpan.hasPrefixIgnoringCase(type, "text/") { return !names(type, "text/event-stream") }
        if names(type, "application/json") || names(type, "application/xml") { return true }
        return hasSuffix(type, "+json") || hasSuffix(type, "+xml")
    }

    private static func names(_ type: borrowing Span<UInt8>, _ text: StaticString) -> Bool {
        HTTPSpan.equalsIgnoringCase(type, text)
    }

    private static func hasSuffix(_ type: borrowing Span<UInt8>, _ suffix: StaticString) -> Bool {
        type.count > suffix.utf8CodeUnitCount
            && names(type.extracting(last: suffix.utf8CodeUnitCount), suffix)
    }

    private static func isToken(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Bool {
        guard range.upperBound <= bytes.count else { return false }
        for at in range where !Byte.isToken(bytes[at]) { return false }
        return !range.isEmpty
    }
}
