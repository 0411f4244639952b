/// The domain under which every container has its host: `dev-<vmid>.<domain>` to vmid.
public struct DevDomain: Sendable {
    /// What an authority names.
    public enum Match: Sendable, Equatable {
        /// The host of this container, and the port if one was given.
        case vmid(UInt32, port: UInt16?)
        /// A well-formed host that is not a container's: 421.
        case elsewhere
        /// Not `host[:port]` with a host of letters, digits, hyphens, underscores and dots, or an IPv6 literal: 400.
        case malformed
    }

    private let domain: [UInt8]
    private let vmids: ClosedRange<UInt32>

    /// A domain of lower-case letters, digits, hyphens and dots; nil for any other text.
    public init?(_ domain: String, vmids: ClosedRange<UInt32>) {
        let bytes = Array(domain.utf8)
        guard let host = Self.host(bytes.span), host.count == bytes.count,
            !bytes.contains(where: { $0 != Byte.lowered($0) || $0 == UInt8(ascii: "_") })
        else { return nil }
        self.domain = bytes
        self.vmids = vmids
    }

    /// What `authority`, the whole value of Host or `:authority`, names.
    public func match(_ authority: borrowing Span<UInt8>) -> Match {
        if let (vmid, end) = expected(authority) {
            var end = end
            if authority.has(UInt8(ascii: "."), at: end) { end &+= 1 }
            if end == authority.count { return .vmid(vmid, port: nil) }
            if authority.has(UInt8(ascii: ":"), at: end) {
                guard let port = Self.port(authority, end..<authority.count) else { return .malformed }
                return .vmid(vmid, port: port)
            }
        }
        return Self.isHost(authority) ? .elsewhere : .malformed
    }

    /// The number in `dev-<number>.<domain>` and where the domain ends, if the authority begins so and the number is
    /// allowed.
    private func expected(_ bytes: borrowing Span<UInt8>) -> (vmid: UInt32, end: Int)? {
        guard bytes.count >= 6, Word.loadHalf(bytes, 0) | 0x0020_2020 == 0x2d76_6564,
            bytes[4] != UInt8(ascii: "0")
        else { return nil }
        var at = 4
        var value: UInt64 = 0
        while at < bytes.count, at < 14, Byte.isDigit(bytes[at]) {
            value = value &* 10 &+ UInt64(bytes[at] &- 0x30)
            at &+= 1
        }
        guard at > 4, bytes.has(UInt8(ascii: "."), at: at), let vmid = UInt32(exactly: value), vmids.contains(vmid),
            isDomain(bytes, at &+ 1)
        else { return nil }
        return (vmid, at &+ 1 &+ domain.count)
    }

    /// Whether the domain, in any case, is at `start`.
    private func isDomain(_ bytes: borrowing Span<UInt8>, _ start: Int) -> Bool {
        let count = domain.count
        guard bytes.count &- start >= count else { return false }
        var at = 0
        while at &+ 8 <= count {
            let word = Word.load(bytes, start &+ at)
            // The case bit makes letters of letters only, but digits, dots and hyphens of controls too: those have
            // neither of the bits 0x60.
            guard word | Word.lower == Word.load(domain.span, at), (word | word &<< 1) & Word.upper == Word.upper else {
                return false
            }
            at &+= 8
        }
        while at < count {
            guard Byte.lowered(bytes[start &+ at]) == domain[at] else { return false }
            at &+= 1
        }
        return true
    }

    /// Whether this is `host[:port]` at all.
    private static func isHost(_ bytes: borrowing Span<UInt8>) -> Bool {
        let isLiteral = bytes.has(UInt8(ascii: "["), at: 0)
        guard let colon = isLiteral ? literalEnd(bytes) : HTTPSpan.find(UInt8(ascii: ":"), in: bytes, 0..<bytes.count),
            colon == bytes.count || port(bytes, colon..<bytes.count) != nil
        else { return false }
        return isLiteral || host(bytes.extracting(0..<colon)) != nil
    }

    /// The host without one trailing dot; nil unless every label is LDH or `_`, which names in the DNS may have though
    /// hosts should not, and 1 to 63 bytes, 253 in all (RFC 1123 section 2.1, RFC 1035 section 2.3.4).
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
                guard
                    Byte.isLetter(byte) || Byte.isDigit(byte) || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
                else { return nil }
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
}
