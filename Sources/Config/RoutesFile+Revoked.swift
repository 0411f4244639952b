import Routing
import Wire

extension RoutesFile {
    /// Reads the `revoked` list; entries that are refused are left out.
    static func readRevoked(_ node: Int, _ reading: Reading) -> [RevocationRule] {
        reading.list(node, "revoked").compactMap { element in
            var section = Section(element, path: "revoked", reading: reading)
            var session: String?
            var user: String?
            var container: UInt32?
            var before: Int64?
            section.parsed("session", &session, "a session's id") { $0.isEmpty ? nil : $0 }
            section.parsed("user", &user, "a user") { $0.isEmpty ? nil : $0 }
            section.parsed("vmid", &container, "a vmid") { vmid($0).map { $0 } }
            section.parsed("before", &before, "a time such as 2026-11-21T10:00:00Z") {
                Timestamp.seconds($0).map { $0 }
            }
            section.finish()
            guard section.isMapping else { return nil }
            guard ["session", "user", "vmid"].count(where: section.has) == 1 else {
                reading.error(element, "\"revoked\": name exactly one of session, user, vmid")
                return nil
            }
            // A time that cannot be read must not turn into "everything".
            if section.has("before"), before == nil { return nil }
            if let session {
                guard let node = section.node("before") else { return .session(session) }
                reading.error(node, "\"revoked.before\" has no meaning for one session; remove it")
                return nil
            }
            return user.map { .user($0, before: before) } ?? container.map { .vmid($0, before: before) }
        }
    }
}

/// RFC 3339.
enum Timestamp {
    /// Seconds since 1970, rounded up, of `2026-11-21T10:00:00Z`, or of plain seconds. Rounded up because a revocation
    /// "before 10:00:00.5" means what was issued at 10:00:00 too.
    static func seconds(_ text: String) -> Int64? {
        if let plain = Quantity.integer(text) { return Int64(plain) }
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[4] == UInt8(ascii: "-"), bytes[7] == UInt8(ascii: "-"),
            [UInt8(ascii: "T"), UInt8(ascii: "t"), UInt8(ascii: " ")].contains(bytes[10]),
            bytes[13] == UInt8(ascii: ":"), bytes[16] == UInt8(ascii: ":"),
            let year = number(bytes[0..<4]), year > 0,
            let month = number(bytes[5..<7]), let day = number(bytes[8..<10]),
            let hour = number(bytes[11..<13]), let minute = number(bytes[14..<16]),
            let second = number(bytes[17..<19]),
            (1...12).contains(month), (1...daysIn(month, year)).contains(day), hour < 24, minute < 60, second <= 60
        else { return nil }
        var rest = bytes[19...]
        var roundUp: Int64 = 0
        if rest.first == UInt8(ascii: ".") {
            let digits = rest.dropFirst().prefix(while: \.isDigit)
            guard !digits.isEmpty else { return nil }
            roundUp = digits.allSatisfy { $0 == 0x30 } ? 0 : 1
            rest = rest[digits.endIndex...]
        }
        guard let offset = offset(Array(rest)) else { return nil }
        return days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second + roundUp - offset
    }

    private static func offset(_ bytes: [UInt8]) -> Int64? {
        if bytes == [UInt8(ascii: "Z")] || bytes == [UInt8(ascii: "z")] { return 0 }
        guard bytes.count == 6, bytes[0] == UInt8(ascii: "+") || bytes[0] == UInt8(ascii: "-"),
            bytes[3] == UInt8(ascii: ":"), let hour = number(bytes[1..<3]), let minute = number(bytes[4..<6]),
            hour < 24, minute < 60
        else { return nil }
        return (hour * 3600 + minute * 60) * (bytes[0] == UInt8(ascii: "-") ? -1 : 1)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int64? {
        guard bytes.allSatisfy(\.isDigit) else { return nil }
        return bytes.reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }

    private static func daysIn(_ month: Int64, _ year: Int64) -> Int64 {
        let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
        return month == 2 ? (isLeap ? 29 : 28) : [4, 6, 9, 11].contains(month) ? 30 : 31
    }

    /// Days since 1970-01-01 in the Gregorian calendar; years start in March here, so that the odd day comes last.
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month > 2 ? year : year - 1
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let leaps = shifted / 4 - shifted / 100 + shifted / 400
        return shifted * 365 + leaps + dayOfYear - 719_468
    }
}
