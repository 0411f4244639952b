import Wire

/// What opens a launch in a tab of its own, on the page that a frame gets.
enum TabOffer: Sendable {
    /// The frame's own address once more, which the page need not know.
    case sameAddress
    /// The form that was posted, once more, so that its token gets into no address.
    case form(token: [UInt8], next: [UInt8])

    func append(to page: inout ByteBuffer) {
        switch self {
        case .sameAddress:
            page.append("<p><a href=\"\" target=\"_blank\" rel=\"noopener\">Open in a new tab</a></p>")
        case .form(let token, let next):
            page.append("<form method=\"post\" action=\"/.zlh/launch\" target=\"_blank\" rel=\"noopener\">")
            appendField("token", token, to: &page)
            appendField("next", next, to: &page)
            page.append("<p><button>Open in a new tab</button></p></form>")
        }
    }

    private func appendField(_ name: StaticString, _ value: [UInt8], to page: inout ByteBuffer) {
        page.append("<input type=\"hidden\" name=\"")
        page.append(name)
        page.append("\" value=\"")
        for byte in value {
            switch byte {
            case UInt8(ascii: "&"): page.append("&amp;")
            case UInt8(ascii: "<"): page.append("&lt;")
            case UInt8(ascii: ">"): page.append("&gt;")
            case UInt8(ascii: "\""): page.append("&quot;")
            default: page.append(byte)
            }
        }
        page.append("\">")
    }
}
