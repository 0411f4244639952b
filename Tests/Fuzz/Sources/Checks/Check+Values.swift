import Wire

extension Check {
    private static let domain = DevDomain("zerolaghub.dev", vmids: 1...999_999_999)

    /// Against a slow reading by strings.
    static func authority(_ bytes: [UInt8]) {
        guard let domain else { preconditionFailure("no domain") }
        let result = domain.match(bytes.span)
        guard case .vmid(let vmid, let port) = result else {
            if bytes.allSatisfy({ $0 < 0x80 }) {
                var text = String(decoding: bytes, as: UTF8.self).lowercased()
                if text.hasSuffix(".") { text.removeLast() }
                // What it must recognise: the plain form of a number in range.
                if text.hasPrefix("dev-"), text.hasSuffix(".zerolaghub.dev"),
                    let number = UInt32(text.dropFirst(4).dropLast(15)),
                    text == "dev-\(number).zerolaghub.dev", (1...999_999_999).contains(number)
                {
                    preconditionFailure("not recognised")
                }
            }
            return
        }
        var text = String(decoding: bytes, as: UTF8.self).lowercased()
        if let port {
            guard let colon = text.lastIndex(of: ":") else { preconditionFailure("no port") }
            precondition(UInt16(text[text.index(after: colon)...]) == port && port > 0)
            text = String(text[..<colon])
        }
        if text.hasSuffix(".") { text.removeLast() }
        precondition(text == "dev-\(vmid).zerolaghub.dev" && (1...999_999_999).contains(vmid))
    }

    static func cookies(_ bytes: [UInt8]) {
        // Values come from a parsed head.
        guard bytes.allSatisfy({ $0 >= 0x20 && $0 != 0x7f || $0 == 9 }) else { return }
        let pairs = bytes.split(separator: 0x3b).map(trimmed).filter { !$0.isEmpty }
        let ours = pairs.filter(isOurs)

        var output = ByteBuffer()
        let rest = CookieHeader.appendWithoutOurs(bytes.span, to: &output)
        let others = pairs.filter { !isOurs($0) }
        precondition(contents(output) == Array(others.joined(separator: [0x3b, 0x20])))
        precondition(rest == (ours.isEmpty ? .all : others.isEmpty ? .nothing : .some))

        let name = Array("__Host-zlh_s=".utf8)
        let values = pairs.filter { $0.starts(with: name) }.map { Array($0.dropFirst(name.count)) }
        switch CookieHeader.find("__Host-zlh_s", in: bytes.span) {
        case .none: precondition(values.isEmpty)
        case .one(let range): precondition(values == [Array(bytes[range])])
        case .several: precondition(values.count > 1)
        }

        setCookie(bytes)
        var allowed = ByteBuffer()
        _ = ClearSiteData.appendAllowed(bytes.span, to: &allowed)
        precondition(!contains(contents(allowed), "cookies") && !contains(contents(allowed), "*"))
        var members = ListMembers()
        var at = 0
        while let range = members.next(in: bytes.span) {
            precondition(!range.isEmpty && range.lowerBound >= at && !bytes[range].contains(0x2c))
            at = range.upperBound
        }
        query(bytes)
    }

    private static func setCookie(_ bytes: [UInt8]) {
        var output = ByteBuffer()
        SetCookieHeader.appendWithoutDomain(bytes.span, to: &output)
        let left = contents(output)
        precondition(!SetCookieHeader.hasDomain(left.span))
        precondition((left == bytes) == !SetCookieHeader.hasDomain(bytes.span))
        precondition(SetCookieHeader.isOurs(left.span) == SetCookieHeader.isOurs(bytes.span))
        let pair = trimmed(bytes.prefix { $0 != 0x3b })
        if isOurs(pair) { precondition(SetCookieHeader.isOurs(bytes.span)) }
    }

    private static func query(_ bytes: [UInt8]) {
        var output = ByteBuffer()
        let wrote = RequestTarget.appendQueryWithoutToken(bytes.span, to: &output)
        let left = contents(output)
        precondition(wrote == !left.isEmpty && left.count <= bytes.count)
        precondition(RequestTarget.tokenParameter(in: left.span) == nil)
        if RequestTarget.tokenParameter(in: bytes.span) != nil { precondition(left.count < bytes.count) }

        var encoded = ByteBuffer()
        PercentCoding.encode(bytes.span, into: &encoded)
        var decoded = ByteBuffer()
        precondition(PercentCoding.decode(contents(encoded).span, plusAsSpace: true, into: &decoded))
        precondition(contents(decoded) == bytes)
        precondition(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        if let raw = Base64URL.decode(String(decoding: bytes, as: UTF8.self)) {
            precondition(Array(Base64URL.encode(raw).utf8) == bytes)
        }
        _ = RFC3339.parse(String(decoding: bytes, as: UTF8.self))
    }

    private static func isOurs(_ pair: [UInt8]) -> Bool {
        ["__Host-zlh", "__Secure-zlh", "zlh_"].contains { pair.starts(with: $0.utf8) }
    }

    private static func trimmed(_ bytes: some Sequence<UInt8>) -> [UInt8] {
        let isBlank = { (byte: UInt8) in byte == 0x20 || byte == 9 }
        return Array(Array(bytes.drop(while: isBlank)).reversed().drop(while: isBlank).reversed())
    }

    private static func contents(_ buffer: borrowing ByteBuffer) -> [UInt8] {
        buffer.withReadable { span in (0..<span.count).map { span[$0] } }
    }

    private static func contains(_ bytes: [UInt8], _ text: String) -> Bool {
        String(decoding: bytes, as: UTF8.self).contains(text)
    }
}
