/// The `Cookie` field (RFC 6265 section 4.2) on its raw bytes: pairs are what lies between semicolons, without the
/// spaces and tabs around it.
public enum CookieHeader {
    /// What was found under a name.
    public enum Found: Sendable, Equatable {
        case none
        /// The one value's bytes.
        case one(Range<Int>)
        /// More than one pair has the name, so none counts.
        case several
    }

    /// Looks for the pair called `name`, case included.
    public static func find(_ name: StaticString, in value: borrowing Span<UInt8>) -> Found {
        var found = Found.none
        var pairs = SemicolonParts()
        while let pair = pairs.next(in: value) {
            let bytes = value.extracting(pair)
            let nameEnd = name.utf8CodeUnitCount
            guard bytes.count > nameEnd, bytes[nameEnd] == UInt8(ascii: "="), HTTPSpan.hasPrefix(bytes, name) else {
                continue
            }
            if found != .none { return .several }
            found = .one(pair.lowerBound &+ nameEnd &+ 1..<pair.upperBound)
        }
        return found
    }

    /// What `appendWithoutOurs` left of a field.
    public enum Rest: Sendable, Equatable {
        /// No pair has a name of ours: the field may stay as it is.
        case all
        /// Some pairs are ours, and the others were appended.
        case some
        /// All pairs are ours, or there are none.
        case nothing
    }

    /// Appends the pairs that do not have a name of ours, which no container may see, byte for byte with `; ` between
    /// them.
    public static func appendWithoutOurs(_ value: borrowing Span<UInt8>, to output: inout ByteBuffer) -> Rest {
        var (wrote, left) = (false, false)
        var pairs = SemicolonParts()
        while let pair = pairs.next(in: value) {
            let bytes = value.extracting(pair)
            if isOurs(bytes) {
                left = true
                continue
            }
            if wrote { output.append("; ") }
            output.append(bytes)
            wrote = true
        }
        return !left ? .all : wrote ? .some : .nothing
    }

    /// Names that begin with `__Host-zlh`, `__Secure-zlh` or `zlh_`.
    static func isOurs(_ pair: borrowing Span<UInt8>) -> Bool {
        guard pair.count >= 4 else { return false }
        switch pair[0] {
        case UInt8(ascii: "_"):
            return HTTPSpan.hasPrefix(pair, "__Host-zlh") || HTTPSpan.hasPrefix(pair, "__Secure-zlh")
        case UInt8(ascii: "z"): return HTTPSpan.hasPrefix(pair, "zlh_")
        default: return false
        }
    }
}

/// A walk over what lies between semicolons, trimmed; empty parts are passed over.
struct SemicolonParts {
    private var position = 0

    mutating func next(in value: borrowing Span<UInt8>) -> Range<Int>? {
        while position < value.count {
            let semicolon = HTTPSpan.find(UInt8(ascii: ";"), in: value, position..<value.count)
            let part = HTTPSpan.trimmed(value, position..<semicolon)
            position = semicolon &+ 1
            if !part.isEmpty { return part }
        }
        return nil
    }
}
