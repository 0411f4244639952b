/// Days and the proleptic Gregorian calendar, after Howard Hinnant's well-known formulas.
struct CivilDate {
    var year: Int64
    var month: Int64
    var day: Int64

    init(year: Int64, month: Int64, day: Int64) {
        self.year = year
        self.month = month
        self.day = day
    }

    /// The date so many days after 1970-01-01.
    init(days: Int64) {
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    }

    /// Days after 1970-01-01.
    var days: Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }

    /// The last second of the year 9999: four digits hold no more.
    static let lastSecond: Int64 = 253_402_300_799
}

/// `IMF-fixdate` (RFC 9110 section 5.6.7).
public enum HTTPDate {
    /// Appends the date, such as `Sun, 06 Nov 1994 08:49:37 GMT`; times before 1970 or after 9999 become the nearest.
    public static func append(epochSeconds: Int64, to output: inout ByteBuffer) {
        let seconds = min(max(epochSeconds, 0), CivilDate.lastSecond)
        let days = seconds / 86_400
        let date = CivilDate(days: days)
        output.append(weekday((days + 4) % 7))
        output.append(twoDigits: date.day)
        output.append(monthName(date.month))
        output.append(twoDigits: date.year / 100)
        output.append(twoDigits: date.year % 100)
        output.append(UInt8(ascii: " "))
        output.append(timeOfDay: seconds % 86_400)
        output.append(" GMT")
    }

    private static func weekday(_ number: Int64) -> StaticString {
        switch number {
        case 0: "Sun, "
        case 1: "Mon, "
        case 2: "Tue, "
        case 3: "Wed, "
        case 4: "Thu, "
        case 5: "Fri, "
        default: "Sat, "
        }
    }

    private static func monthName(_ number: Int64) -> StaticString {
        switch number {
        case 1: " Jan "
        case 2: " Feb "
        case 3: " Mar "
        case 4: " Apr "
        case 5: " May "
        case 6: " Jun "
        case 7: " Jul "
        case 8: " Aug "
        case 9: " Sep "
        case 10: " Oct "
        case 11: " Nov "
        default: " Dec "
        }
    }
}

/// RFC 3339 timestamps in UTC.
public enum RFC3339 {
    /// Appends the time with milliseconds, such as `2026-11-21T10:00:00.000Z`; times before 1970 or after 9999 become
    /// the nearest.
    public static func append(epochMilliseconds: Int64, to output: inout ByteBuffer) {
        let milliseconds = min(max(epochMilliseconds, 0), CivilDate.lastSecond * 1000 + 999)
        let seconds = milliseconds / 1000
        let date = CivilDate(days: seconds / 86_400)
        output.append(twoDigits: date.year / 100)
        output.append(twoDigits: date.year % 100)
        output.append(UInt8(ascii: "-"))
        output.append(twoDigits: date.month)
        output.append(UInt8(ascii: "-"))
        output.append(twoDigits: date.day)
        output.append(UInt8(ascii: "T"))
        output.append(timeOfDay: seconds % 86_400)
        output.append(UInt8(ascii: "."))
        output.append(UInt8(truncatingIfNeeded: milliseconds % 1000 / 100) &+ 0x30)
        output.append(twoDigits: milliseconds % 100)
        output.append(UInt8(ascii: "Z"))
    }

    /// The epoch seconds that `text` names, a fraction cut off; nil unless it is a date and time with `Z` or an offset
    /// (RFC 3339 section 5.6).
    public static func parse(_ text: String) -> Int64? {
        var cursor = Cursor(bytes: Array(text.utf8))
        guard let year = cursor.number(4), cursor.take("-"), let month = cursor.number(2), cursor.take("-"),
            let day = cursor.number(2), cursor.take("T") || cursor.take("t") || cursor.take(" "),
            let hour = cursor.number(2), cursor.take(":"), let minute = cursor.number(2), cursor.take(":"),
            let second = cursor.number(2)
        else { return nil }
        if cursor.take(".") {
            guard cursor.number(1) != nil else { return nil }
            while cursor.number(1) != nil {}
        }
        var offset: Int64 = 0
        if !cursor.take("Z"), !cursor.take("z") {
            let west = cursor.take("-")
            guard west || cursor.take("+"), let hours = cursor.number(2), cursor.take(":"),
                let minutes = cursor.number(2), hours < 24, minutes < 60
            else { return nil }
            offset = (hours * 60 + minutes) * (west ? -60 : 60)
        }
        let date = CivilDate(year: year, month: month, day: day)
        guard cursor.isAtEnd, (1...12).contains(month), day >= 1, hour < 24, minute < 60, second <= 60 else {
            return nil
        }
        // A day that the month does not have comes back as another date.
        let back = CivilDate(days: date.days)
        guard back.month == month, back.day == day else { return nil }
        return date.days * 86_400 + hour * 3600 + minute * 60 + second - offset
    }

    private struct Cursor {
        let bytes: [UInt8]
        var at = 0

        var isAtEnd: Bool { at == bytes.count }

        mutating func take(_ character: Unicode.Scalar) -> Bool {
            guard at < bytes.count, bytes[at] == UInt8(ascii: character) else { return false }
            at += 1
            return true
        }

        mutating func number(_ digits: Int) -> Int64? {
            guard at + digits <= bytes.count else { return nil }
            var value: Int64 = 0
            for byte in bytes[at..<at + digits] {
                guard Byte.isDigit(byte) else { return nil }
                value = value * 10 + Int64(byte - 0x30)
            }
            at += digits
            return value
        }
    }
}

extension ByteBuffer {
    /// Appends 0 to 99 in two digits.
    mutating func append(twoDigits value: Int64) {
        append(UInt8(truncatingIfNeeded: value / 10 % 10) &+ 0x30)
        append(UInt8(truncatingIfNeeded: value % 10) &+ 0x30)
    }

    /// Appends `hh:mm:ss`.
    mutating func append(timeOfDay seconds: Int64) {
        append(twoDigits: seconds / 3600)
        append(UInt8(ascii: ":"))
        append(twoDigits: seconds / 60 % 60)
        append(UInt8(ascii: ":"))
        append(twoDigits: seconds % 60)
    }
}
