/// An IPv4 or IPv6 address as a value: 128 bits, IPv4 held in its mapped form (RFC 4291 section 2.5.5.2), so that
/// `::ffff:10.0.0.1` and `10.0.0.1` are one address.
public struct IPAddress: Sendable, Hashable {
    /// The first 64 bits, most significant first.
    public let high: UInt64
    /// The last 64 bits.
    public let low: UInt64

    /// An IPv6 address from its two halves; a mapped IPv4 address is that IPv4 address.
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// An IPv4 address from its 32 bits, most significant first.
    public init(ipv4: UInt32) {
        high = 0
        low = 0xffff_0000_0000 | UInt64(ipv4)
    }

    /// Whether this is an IPv4 address.
    public var isIPv4: Bool { high == 0 && low >> 32 == 0xffff }

    /// The 32 bits of an IPv4 address.
    public var ipv4: UInt32 { UInt32(truncatingIfNeeded: low) }

    /// `127.0.0.0/8` or `::1`.
    public var isLoopback: Bool { isIPv4 ? ipv4 >> 24 == 127 : high == 0 && low == 1 }

    /// `0.0.0.0` or `::`.
    public var isUnspecified: Bool { high == 0 && (low == 0 || low == 0xffff_0000_0000) }

    /// The address with all bits after the first `bits` cleared; `bits` counts from the address family's first bit.
    public func prefix(_ bits: Int) -> IPAddress {
        let length = isIPv4 ? bits + 96 : bits
        let highMask: UInt64 = length >= 64 ? .max : length <= 0 ? 0 : ~(UInt64.max >> UInt64(length))
        let lowMask: UInt64 = length >= 128 ? .max : length <= 64 ? 0 : ~(UInt64.max >> UInt64(length - 64))
        return IPAddress(high: high & highMask, low: low & lowMask)
    }
}

extension IPAddress {
    /// Parses an IP literal, without brackets, port or zone: dotted quad without leading zeros, or RFC 4291 text.
    public init?(_ text: some StringProtocol) {
        let bytes = Array(text.utf8)
        if bytes.contains(UInt8(ascii: ":")) {
            guard let halves = Self.parseIPv6(bytes) else { return nil }
            self.init(high: halves.high, low: halves.low)
        } else {
            guard let value = Self.parseIPv4(bytes[...]) else { return nil }
            self.init(ipv4: value)
        }
    }

    private static func parseIPv4(_ bytes: ArraySlice<UInt8>) -> UInt32? {
        var value: UInt32 = 0
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        for part in parts {
            guard (1...3).contains(part.count), part.allSatisfy({ (0x30...0x39).contains($0) }),
                part.count == 1 || part.first != 0x30
            else { return nil }
            let octet = part.reduce(UInt32(0)) { $0 * 10 + UInt32($1 - 0x30) }
            guard octet <= 255 else { return nil }
            value = value << 8 | octet
        }
        return value
    }

    private static func parseIPv6(_ bytes: [UInt8]) -> (high: UInt64, low: UInt64)? {
        var groups: [UInt16] = []
        var gap: Int?
        var at = 0
        if bytes.starts(with: [0x3a, 0x3a]) {
            gap = 0
            at = 2
        }
        while at < bytes.count {
            var end = at
            while end < bytes.count, bytes[end] != 0x3a { end += 1 }
            let part = bytes[at..<end]
            if part.contains(UInt8(ascii: ".")) {
                guard end == bytes.count, let tail = parseIPv4(part) else { return nil }
                groups += [UInt16(truncatingIfNeeded: tail >> 16), UInt16(truncatingIfNeeded: tail)]
            } else {
                // The standard library would take signs: `-0` for one.
                guard (1...4).contains(part.count), part.allSatisfy({ Byte.hex($0) != nil }),
                    let group = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
                else { return nil }
                groups.append(group)
            }
            guard groups.count <= 8 else { return nil }
            if end == bytes.count { break }
            at = end + 1
            if at == bytes.count { return nil }
            if bytes[at] == 0x3a {
                guard gap == nil else { return nil }
                gap = groups.count
                at += 1
            }
        }
        if let gap {
            guard groups.count <= 7 else { return nil }
            groups.insert(contentsOf: repeatElement(0, count: 8 - groups.count), at: gap)
        }
        guard groups.count == 8 else { return nil }
        let halves = groups.map(UInt64.init)
        return (
            halves[0] << 48 | halves[1] << 32 | halves[2] << 16 | halves[3],
            halves[4] << 48 | halves[5] << 32 | halves[6] << 16 | halves[7]
        )
    }
}

extension IPAddress: CustomStringConvertible {
    /// Dotted quad, or RFC 5952 text.
    public var description: String {
        if isIPv4 {
            return "\(ipv4 >> 24).\(ipv4 >> 16 & 255).\(ipv4 >> 8 & 255).\(ipv4 & 255)"
        }
        let groups = (0..<8).map { UInt16(truncatingIfNeeded: ($0 < 4 ? high : low) >> UInt64((3 - $0 % 4) * 16)) }
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, groups[end] == 0 { end += 1 }
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = max(end, start + 1)
        }
        let text = { (range: Range<Int>) in range.map { String(groups[$0], radix: 16) }.joined(separator: ":") }
        if longest.isEmpty { return text(0..<8) }
        return text(0..<longest.lowerBound) + "::" + text(longest.upperBound..<8)
    }
}

/// A block of addresses: `10.0.0.0/8`, `fc00::/7`, or one address.
public struct CIDR: Sendable, Hashable, CustomStringConvertible {
    /// The first address of the block.
    public let base: IPAddress
    /// How many leading bits are fixed, counted from the family's first bit.
    public let bits: Int

    /// Parses `address/bits` or a single address.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(parts[0]) else { return nil }
        let width = address.isIPv4 ? 32 : 128
        if parts.count == 2 {
            guard parts[1].utf8.allSatisfy(Byte.isDigit), let bits = Int(parts[1]), (0...width).contains(bits) else {
                return nil
            }
            self.bits = bits
        } else {
            bits = width
        }
        base = address.prefix(bits)
    }

    /// Whether `address` is of the block's family and lies within it.
    public func contains(_ address: IPAddress) -> Bool {
        address.isIPv4 == base.isIPv4 && address.prefix(bits) == base
    }

    /// `base/bits`.
    public var description: String { "\(base)/\(bits)" }
}

/// An address and a TCP port.
public struct Endpoint: Sendable, Hashable, CustomStringConvertible {
    /// The address.
    public let address: IPAddress
    /// The TCP port.
    public let port: UInt16

    /// An address and a TCP port.
    public init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// Parses `1.2.3.4:80` or `[::1]:80`.
    public init?(_ text: some StringProtocol) {
        guard let colon = text.lastIndex(of: ":") else { return nil }
        let digits = text[text.index(after: colon)...]
        guard (1...5).contains(digits.utf8.count), digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
            let port = UInt16(digits)
        else { return nil }
        let host = text[..<colon]
        if host.hasPrefix("["), host.hasSuffix("]") {
            guard let address = IPAddress(host.dropFirst().dropLast()), host.contains(":") else { return nil }
            self.init(address: address, port: port)
        } else {
            guard !host.contains(":"), let address = IPAddress(host) else { return nil }
            self.init(address: address, port: port)
        }
    }

    /// `1.2.3.4:80` or `[::1]:80`.
    public var description: String { address.isIPv4 ? "\(address):\(port)" : "[\(address)]:\(port)" }
}
