import Wire

extension ByteBuffer {
    /// Milliseconds since 1970 as RFC 3339 text in UTC: `2026-11-21T10:00:00.123Z`. The years 1970 to 9999; earlier and
    /// later ones are moved to the nearest.
    mutating func append(rfc3339 epochMs: Int64) {
        let time = UInt64(min(max(epochMs, 0), 253_402_300_799_999))
        let (year, month, day) = civil(days: time / 86_400_000)
        let second = time / 1000 % 86400
        append(year, digits: 4)
        append(UInt8(ascii: "-"))
        append(month, digits: 2)
        append(UInt8(ascii: "-"))
        append(day, digits: 2)
        append(UInt8(ascii: "T"))
        append(second / 3600, digits: 2)
        append(UInt8(ascii: ":"))
        append(second / 60 % 60, digits: 2)
        append(UInt8(ascii: ":"))
        append(second % 60, digits: 2)
        append(UInt8(ascii: "."))
        append(time % 1000, digits: 3)
        append(UInt8(ascii: "Z"))
    }

    /// An address as text, without making a string: dotted quad, or RFC 5952 section 4.
    mutating func append(address: IPAddress) {
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

/// The Gregorian date of a day since 1970-01-01, counted in eras of 400 years that begin in March, so that the leap
/// day is the last of its year.
private func civil(days: UInt64) -> (year: UInt64, month: UInt64, day: UInt64) {
    let shifted = days + 719_468
    let era = shifted / 146_097
    let ofEra = shifted % 146_097
    let yearOfEra = (ofEra - ofEra / 1460 + ofEra / 36524 - ofEra / 146_096) / 365
    let ofYear = ofEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let marchMonth = (5 * ofYear + 2) / 153
    let month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9
    return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, ofYear - (153 * marchMonth + 2) / 5 + 1)
}
