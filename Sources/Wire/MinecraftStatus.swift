/// Where the members of a server's status answer lie that the gateway changes or reads. What the server wrote between
/// them stays as it is.
public struct MinecraftStatus: Sendable, Equatable {
    /// The value of `version.protocol`.
    public var protocolRange: Range<Int>?
    /// The value of `version.name`.
    public var versionNameRange: Range<Int>?
    /// The value of `description`.
    public var descriptionRange: Range<Int>?
    /// The value of `players.online`.
    public var onlineRange: Range<Int>?
    /// The value of `players.max`.
    public var maximumRange: Range<Int>?

    /// Finds the members; nil when `json` is not an object.
    public init?(_ json: borrowing Span<UInt8>) {
        var at = 0
        JSONWalk.skipSpace(json, &at)
        guard at < json.count, json[at] == UInt8(ascii: "{") else { return nil }
        at += 1
        while let member = JSONWalk.nextMember(json, &at) {
            if JSONWalk.equal(json, member.key, "description") {
                descriptionRange = member.value
            } else if JSONWalk.equal(json, member.key, "version") {
                readVersion(json, member.value)
            } else if JSONWalk.equal(json, member.key, "players") {
                readPlayers(json, member.value)
            }
        }
        guard at < json.count, json[at] == UInt8(ascii: "}") else { return nil }
    }

    private mutating func readVersion(_ json: borrowing Span<UInt8>, _ range: Range<Int>) {
        guard json[range.lowerBound] == UInt8(ascii: "{") else { return }
        var at = range.lowerBound + 1
        while let member = JSONWalk.nextMember(json, &at) {
            if JSONWalk.equal(json, member.key, "protocol") { protocolRange = member.value }
            if JSONWalk.equal(json, member.key, "name") { versionNameRange = member.value }
        }
    }

    private mutating func readPlayers(_ json: borrowing Span<UInt8>, _ range: Range<Int>) {
        guard json[range.lowerBound] == UInt8(ascii: "{") else { return }
        var at = range.lowerBound + 1
        while let member = JSONWalk.nextMember(json, &at) {
            if JSONWalk.equal(json, member.key, "online") { onlineRange = member.value }
            if JSONWalk.equal(json, member.key, "max") { maximumRange = member.value }
        }
    }

    /// Appends `json` with another protocol number or description where these are given.
    public func append(
        _ json: borrowing Span<UInt8>, protocolVersion: Int32? = nil, description: String? = nil,
        to out: inout ByteBuffer
    ) {
        var changes: [(Range<Int>, String)] = []
        if let protocolVersion, let protocolRange { changes.append((protocolRange, "\(protocolVersion)")) }
        if let description, let descriptionRange { changes.append((descriptionRange, description)) }
        changes.sort { $0.0.lowerBound < $1.0.lowerBound }
        var at = 0
        for (range, text) in changes where range.lowerBound >= at {
            out.append(json, at..<range.lowerBound)
            out.append(text: text)
            at = range.upperBound
        }
        out.append(json, at..<json.count)
    }

    /// A number of the answer; 0 for what is not a small one.
    public func number(_ json: borrowing Span<UInt8>, _ range: Range<Int>?) -> Int {
        guard let range, range.count <= 9 else { return 0 }
        var value = 0
        for index in range {
            guard (0x30...0x39).contains(json[index]) else { return 0 }
            value = value * 10 + Int(json[index] & 15)
        }
        return value
    }

    /// The text of a string, or the `text` members of a chat component one after the other: what old clients can show.
    public func plainText(_ json: borrowing Span<UInt8>, _ range: Range<Int>?) -> String {
        guard let range, !range.isEmpty else { return "" }
        if json[range.lowerBound] == UInt8(ascii: "\"") { return JSONWalk.unescaped(json, range) }
        var text = ""
        var at = range.lowerBound
        var isText = false
        while at < range.upperBound, text.utf8.count < 1024 {
            guard json[at] == UInt8(ascii: "\"") else {
                // Another value than a string came after the key.
                if json[at] == UInt8(ascii: ",") || json[at] == UInt8(ascii: "{") { isText = false }
                at += 1
                continue
            }
            let start = at
            guard JSONWalk.skipString(json, &at), at <= range.upperBound else { break }
            if isText {
                text += JSONWalk.unescaped(json, start..<at)
                isText = false
            } else {
                isText = JSONWalk.equal(json, start..<at, "text")
            }
        }
        return text
    }

    /// An answer of ours: no players, and a chat component as its text.
    public static func synthetic(protocolVersion: Int32, description: String) -> String {
        #"{"version":{"name":"ZeroLagHub","protocol":\#(protocolVersion)},"players":{"max":0,"online":0},"#
            + #""description":\#(description)}"#
    }
}

/// Finds its way in JSON from anywhere without building anything: iterative, so that depth costs nothing.
enum JSONWalk {
    static func skipSpace(_ json: borrowing Span<UInt8>, _ at: inout Int) {
        while at < json.count, json[at] == 0x20 || json[at] == 0x0a || json[at] == 0x0d || json[at] == 0x09 { at += 1 }
    }

    /// From an opening quote to behind the closing one.
    static func skipString(_ json: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        var index = at + 1
        while index < json.count {
            if json[index] == UInt8(ascii: "\\") {
                index += 2
            } else if json[index] == UInt8(ascii: "\"") {
                at = index + 1
                return true
            } else {
                index += 1
            }
        }
        return false
    }

    /// The next `"key": value` of an object whose opening brace, or last value, was just passed; nil at its end and for
    /// what is not JSON.
    static func nextMember(
        _ json: borrowing Span<UInt8>, _ at: inout Int
    ) -> (key: Range<Int>, value: Range<Int>)? {
        skipSpace(json, &at)
        if at < json.count, json[at] == UInt8(ascii: ",") { at += 1 }
        skipSpace(json, &at)
        guard at < json.count, json[at] == UInt8(ascii: "\"") else { return nil }
        let key = at
        var next = at
        // What is not a member ends the object where no brace is.
        at = json.count
        guard skipString(json, &next) else { return nil }
        let keyEnd = next
        skipSpace(json, &next)
        guard next < json.count, json[next] == UInt8(ascii: ":") else { return nil }
        next += 1
        skipSpace(json, &next)
        let value = next
        guard skipValue(json, &next), next > value else { return nil }
        at = next
        return (key..<keyEnd, value..<at)
    }

    private static func skipValue(_ json: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        var depth = 0
        while at < json.count {
            switch json[at] {
            case UInt8(ascii: "\""): guard skipString(json, &at) else { return false }
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                at += 1
                continue
            case UInt8(ascii: "}"), UInt8(ascii: "]"):
                guard depth > 0 else { return false }
                depth -= 1
                at += 1
            case UInt8(ascii: ","), UInt8(ascii: ":"), 0x20, 0x0a, 0x0d, 0x09:
                guard depth > 0 else { return false }
                at += 1
                continue
            default:
                guard skipScalar(json, &at) else { return false }
            }
            if depth == 0 { return true }
        }
        return false
    }

    private static func skipScalar(_ json: borrowing Span<UInt8>, _ at: inout Int) -> Bool {
        let start = at
        scan: while at < json.count {
            switch json[at] {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."): at += 1
            default: break scan
            }
        }
        return at > start
    }

    /// Whether a quoted key is `text`.
    static func equal(_ json: borrowing Span<UInt8>, _ range: Range<Int>, _ text: StaticString) -> Bool {
        guard range.count == text.utf8CodeUnitCount + 2 else { return false }
        for index in 0..<text.utf8CodeUnitCount
        where unsafe json[range.lowerBound + 1 + index] != text.utf8Start[index] { return false }
        return true
    }

    /// The characters of a quoted string, at most about a thousand.
    static func unescaped(_ json: borrowing Span<UInt8>, _ range: Range<Int>) -> String {
        var units: [UInt16] = []
        var plain: [UInt8] = []
        func flush() {
            units += String(decoding: plain, as: UTF8.self).utf16
            plain.removeAll()
        }
        var at = range.lowerBound + 1
        let end = range.upperBound - 1
        while at < end, units.count + plain.count < 1024 {
            guard json[at] == UInt8(ascii: "\\"), at + 1 < end else {
                plain.append(json[at])
                at += 1
                continue
            }
            let escape = json[at + 1]
            at += 2
            switch escape {
            case UInt8(ascii: "n"): plain.append(0x0a)
            case UInt8(ascii: "t"): plain.append(0x09)
            case UInt8(ascii: "b"), UInt8(ascii: "f"), UInt8(ascii: "r"): plain.append(0x20)
            case UInt8(ascii: "u"):
                flush()
                var unit: UInt16 = 0
                for index in at..<min(at + 4, end) { unit = unit << 4 | UInt16(json[index].hexDigit) }
                units.append(unit)
                at = min(at + 4, end)
            default: plain.append(escape)
            }
        }
        flush()
        return String(decoding: units, as: UTF16.self)
    }
}

extension UInt8 {
    /// The value of a hexadecimal digit, 0 for what is none.
    fileprivate var hexDigit: UInt8 {
        switch self {
        case 0x30...0x39: self & 15
        case 0x41...0x46, 0x61...0x66: (self & 7) + 9
        default: 0
        }
    }
}
