extension ByteBuffer {
    /// An address as text, without making a string: dotted quad, or RFC 5952 section 4.
    public mutating func append(address: IPAddress) {
        if address.isIPv4 {
            for place in 0..<4 {
                if place > 0 { append(UInt8(ascii: ".")) }
                append(decimal: UInt64(address.ipv4 >> UInt32(24 - 8 * place)) & 255)
            }
            return
        }
        let gap = address.longestZeroRun
        var place = 0
        while place < 8 {
            if place == gap.lowerBound, !gap.isEmpty {
                append("::")
                place = gap.upperBound
                continue
            }
            if place > 0, place != gap.upperBound || gap.isEmpty { append(UInt8(ascii: ":")) }
            append(hex: address.group(place))
            place += 1
        }
    }
}

extension IPAddress {
    fileprivate func group(_ place: Int) -> UInt64 {
        (place < 4 ? high : low) >> UInt64((3 - place % 4) * 16) & 0xffff
    }

    /// The first longest run of at least two zero groups.
    fileprivate var longestZeroRun: Range<Int> {
        var longest = 0..<0
        var start = 0
        while start < 8 {
            var end = start
            while end < 8, group(end) == 0 { end += 1 }
            if end - start > max(longest.count, 1) { longest = start..<end }
            start = max(end, start + 1)
        }
        return longest
    }
}
