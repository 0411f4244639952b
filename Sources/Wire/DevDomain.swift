/// The domain under which every container has its host: `dev-<vmid>.<domain>` to vmid (contract, section 4, rows 1
/// and 2).
public struct DevDomain: Sendable {
    /// What an authority names.
    public enum Match: Sendable, Equatable {
        /// The host of this container, and the port if one was given.
        case vmid(UInt32, port: UInt16?)
        /// A well-formed host that is not a container's: 421.
        case elsewhere
        /// Not `host[:port]` with a host of letters, digits, hyphens and dots, or an IPv6 literal: 400.
        case malformed
    }

    private let domain: [UInt8]
    private let vmids: ClosedRange<UInt32>

    /// A domain of lower-case letters, digits, hyphens and dots; nil for any other text.
    public init?(_ domain: String, vmids: ClosedRange<UInt32>) {
        let bytes = Array(domain.utf8)
        guard let host = Self.host(bytes.span), host.count == bytes.count,
            !bytes.contains(where: { $0 != Byte.lowered($0) })
        else { return nil }
        self.domain = bytes
        self.vmids = vmids
    }

    /// What `authority`, the whole value of Host or `:authority`, names.
    public func match(_ authority: borrowing Span<UInt8>) -> Match {
        let count = authority.count
        if count == 0 { return .malformed }
        let colon: Int
        if authority[0] == UInt8(ascii: "[") {
            guard let end = Self.literalEnd(authority) else { return .malformed }
            colon = end
        } else {
            colon = HTTPSpan.find(UInt8(ascii: ":"), in: authority, 0..<count)
        }
        var port: UInt16?
        if colon < count {
            guard let number = Self.port(authority, colon..<count) else { return .malformed }
            port = number
        }
        if authority[0] == UInt8(ascii: "[") { return .elsewhere }
        guard let host = Self.host(authority.extracting(0..<colon)) else { return .malformed }
        guard let vmid = vmid(authority, host.upperBound), vmids.contains(vmid) else { return .elsewhere }
        return .vmid(vmid, port: port)
    }

    /// The host without one trailing dot; nil unless every label is LDH and 1 to 63 bytes, 253 in all (RFC 1123
    /// section 2.1, RFC 1035 section 2.3.4).
    private static func host(_ bytes: borrowing Span<UInt8>) -> Range<Int>? {
        var end = bytes.count
        if end > 0, bytes[end &- 1] == UInt8(ascii: ".") { end &-= 1 }
        guard end > 0, end <= 253 else { return nil }
        var label = 0
        for at in 0..<end {
            let byte = bytes[at]
            if byte == UInt8(ascii: ".") {
                guard label > 0 else { return nil }
                label = 0
            } else {
                guard Byte.isLetter(byte) || Byte.isDigit(byte) || byte == UInt8(ascii: "-") else { return nil }
                label &+= 1
                guard label <= 63 else { return nil }
            }
        }
        return label > 0 ? 0..<end : nil
    }

    /// The position behind `[` IPv6 `]`, by its alphabet only: it is never a host of ours.
    private static func literalEnd(_ bytes: borrowing Span<UInt8>) -> Int? {
        var at = 1
        while at < bytes.count, bytes[at] != UInt8(ascii: "]") {
            guard Byte.hex(bytes[at]) != nil || bytes[at] == UInt8(ascii: ":") || bytes[at] == UInt8(ascii: ".") else {
                return nil
            }
            at &+= 1
        }
        guard at > 2, at < bytes.count else { return nil }
        let next = at &+ 1
        return next == bytes.count || bytes[next] == UInt8(ascii: ":") ? next : nil
    }

    /// `:` and one to five digits, 1 to 65 535.
    private static func port(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> UInt16? {
        guard (2...6).contains(range.count) else { return nil }
        var value: UInt32 = 0
        for at in range.lowerBound &+ 1..<range.upperBound {
            guard Byte.isDigit(bytes[at]) else { return nil }
            value = value &* 10 &+ UInt32(bytes[at] &- 0x30)
        }
        return value >= 1 && value <= 65_535 ? UInt16(truncatingIfNeeded: value) : nil
    }

    /// The number in `dev-<number>.<domain>`.
    private func vmid(_ bytes: borrowing Span<UInt8>, _ end: Int) -> UInt32? {
        let domainStart = end &- domain.count
        // `dev-`, one to ten digits, a dot.
        guard domainStart >= 6, domainStart <= 15, bytes[domainStart &- 1] == UInt8(ascii: "."),
            Word.loadHalf(bytes, 0) | 0x0020_2020 == 0x2d76_6564
        else { return nil }
        for at in 0..<domain.count where Byte.lowered(bytes[domainStart &+ at]) != domain[at] { return nil }
        guard bytes[4] != UInt8(ascii: "0") else { return nil }
        var value: UInt64 = 0
        for at in 4..<domainStart &- 1 {
            guard Byte.isDigit(bytes[at]) else { return nil }
            value = value &* 10 &+ UInt64(bytes[at] &- 0x30)
        }
        return UInt32(exactly: value)
    }
}
