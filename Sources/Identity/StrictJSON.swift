/// A reader of RFC 8259 that refuses whatever two readers might understand differently: duplicate members, invalid
/// UTF-8, lone surrogates, a byte order mark, numbers that are no JSON numbers, anything after the value.
///
/// Its depth is bounded, so that it cannot be made to exhaust the stack, and so is the number of members.
struct StrictJSON {
    enum Failure: Error, Equatable {
        case notUTF8
        case syntax(offset: Int)
        case tooDeep
        case tooManyMembers
        case duplicateMember(String)
    }

    private let bytes: [UInt8]
    private let depthAtMost: Int
    private var membersLeft: Int
    private var at = 0

    /// Reads one document.
    /// - Parameters:
    ///   - depthAtMost: how many arrays and objects may be open at once; `{}` needs 1.
    ///   - membersAtMost: how many object members the whole document may have.
    static func parse(_ bytes: [UInt8], depthAtMost: Int = 4, membersAtMost: Int) throws(Failure) -> JSONValue {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw .notUTF8 }
        var reader = StrictJSON(bytes: bytes, depthAtMost: depthAtMost, membersLeft: membersAtMost)
        reader.skipSpace()
        let value = try reader.value(depth: 1)
        reader.skipSpace()
        guard reader.at == bytes.count else { throw .syntax(offset: reader.at) }
        return value
    }

    private init(bytes: [UInt8], depthAtMost: Int, membersLeft: Int) {
        self.bytes = bytes
        self.depthAtMost = depthAtMost
        self.membersLeft = membersLeft
    }

    /// The byte at the cursor; 0, which is never valid between tokens, at the end.
    private var next: UInt8 { at < bytes.count ? bytes[at] : 0 }

    private var wrong: Failure { .syntax(offset: at) }

    private mutating func skipSpace() {
        while next == 0x20 || next == 0x09 || next == 0x0a || next == 0x0d { at += 1 }
    }

    private mutating func take(_ byte: Unicode.Scalar) -> Bool {
        guard at < bytes.count, bytes[at] == UInt8(ascii: byte) else { return false }
        at += 1
        return true
    }

    private mutating func value(depth: Int) throws(Failure) -> JSONValue {
        switch next {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return try number()
        }
    }

    private mutating func literal(_ text: String, _ value: JSONValue) throws(Failure) -> JSONValue {
        guard bytes[at...].starts(with: text.utf8) else { throw wrong }
        at += text.utf8.count
        return value
    }

    private mutating func object(depth: Int) throws(Failure) -> JSONValue {
        guard depth <= depthAtMost else { throw .tooDeep }
        at += 1
        var members: [JSONValue.Member] = []
        var names: Set<String> = []
        skipSpace()
        if take("}") { return .object([]) }
        while true {
            skipSpace()
            guard next == UInt8(ascii: "\"") else { throw wrong }
            let name = try string()
            guard names.insert(name).inserted else { throw .duplicateMember(name) }
            guard membersLeft > 0 else { throw .tooManyMembers }
            membersLeft -= 1
            skipSpace()
            guard take(":") else { throw wrong }
            skipSpace()
            members.append(.init(name: name, value: try value(depth: depth + 1)))
            skipSpace()
            if take("}") { return .object(members) }
            guard take(",") else { throw wrong }
        }
    }

    private mutating func array(depth: Int) throws(Failure) -> JSONValue {
        guard depth <= depthAtMost else { throw .tooDeep }
        at += 1
        var elements: [JSONValue] = []
        skipSpace()
        if take("]") { return .array([]) }
        while true {
            skipSpace()
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take("]") { return .array(elements) }
            guard take(",") else { throw wrong }
        }
    }
}

// MARK: - Numbers and strings

extension StrictJSON {
    private mutating func digits() throws(Failure) {
        let start = at
        while (0x30...0x39).contains(next) { at += 1 }
        if at == start { throw wrong }
    }

    private mutating func number() throws(Failure) -> JSONValue {
        let start = at
        _ = take("-")
        if !take("0") { try digits() }
        var exact = true
        if take(".") {
            exact = false
            try digits()
        }
        if take("e") || take("E") {
            exact = false
            if !take("+") { _ = take("-") }
            try digits()
        }
        let text = String(decoding: bytes[start..<at], as: UTF8.self)
        if exact, let value = Int64(text) { return .integer(value) }
        return .number(text)
    }

    private mutating func string() throws(Failure) -> String {
        at += 1
        var out: [UInt8] = []
        while at < bytes.count {
            let byte = bytes[at]
            switch byte {
            case UInt8(ascii: "\""):
                at += 1
                return String(decoding: out, as: UTF8.self)
            case UInt8(ascii: "\\"):
                at += 1
                out.append(contentsOf: String(Character(try escape())).utf8)
            case 0..<0x20:
                throw wrong
            default:
                out.append(byte)
                at += 1
            }
        }
        throw wrong
    }

    private mutating func escape() throws(Failure) -> Unicode.Scalar {
        let letter = next
        at += 1
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(letter)
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{c}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw wrong
        }
        let unit = try hexUnit()
        if let scalar = Unicode.Scalar(unit) { return scalar }
        // A high surrogate needs its low one right behind it (RFC 8259 section 7); anything else has no meaning.
        guard UTF16.isLeadSurrogate(UInt16(unit)), take("\\"), take("u") else { throw wrong }
        let low = try hexUnit()
        guard (0xdc00...0xdfff).contains(low),
            let scalar = Unicode.Scalar(0x10000 + (unit - 0xd800) << 10 + (low - 0xdc00))
        else { throw wrong }
        return scalar
    }

    private mutating func hexUnit() throws(Failure) -> UInt32 {
        var unit: UInt32 = 0
        for _ in 0..<4 {
            switch next {
            case 0x30...0x39: unit = unit << 4 | UInt32(next - 0x30)
            case 0x41...0x46: unit = unit << 4 | UInt32(next - 0x37)
            case 0x61...0x66: unit = unit << 4 | UInt32(next - 0x57)
            default: throw wrong
            }
            at += 1
        }
        return unit
    }
}
