/// Takes the chunked coding apart (RFC 9112 section 7.1), strictly: CRLF and nothing else ends a line, extensions are
/// checked for their grammar, bounded and dropped. It remembers where it is between calls, so that a body may be split
/// anywhere.
public struct ChunkedDecoder: Sendable {
    /// What the bytes from the given position on turned out to be.
    public enum Step: Sendable {
        /// Payload at these positions; everything up to the upper bound is consumed.
        case data(Range<Int>)
        /// Nothing more can be said; everything up to this position is consumed.
        case needMore(consumed: Int)
        /// The last chunk ended here; the trailer section follows (`HTTP1.parseTrailers`).
        case lastChunk(consumed: Int)
        /// Not the chunked coding; the text says which rule. Nothing after it can be trusted.
        case malformed(StaticString)
    }

    private enum State: UInt8 {
        case size
        /// Spaces before `;`
        case beforeSemicolon
        /// After `;`
        case beforeName, name
        /// Spaces after a name, before `=` or `;`
        case afterName
        /// After `=`
        case beforeValue, value, quoted, quotedPair, afterQuoted
        case lineFeed, data, dataReturn, dataLineFeed, done
    }

    /// Which bound of extensions a `.malformed` is about.
    public enum Bound: Sendable {
        /// What the extensions of one chunk may take.
        case chunk
        /// What those of a whole body may take.
        case body
    }

    /// The bound that was exceeded; `nil` unless that is why the coding was refused.
    public private(set) var exceeded: Bound?
    private var state = State.size
    private var digits: UInt8 = 0
    private var remaining: UInt64 = 0
    private var extensionLeft: Int
    private var extensionsLeft: Int
    private let extensionBytes: Int

    /// A decoder before the first chunk that takes so many bytes of extensions a chunk and a body.
    public init(extensionBytes: Int = 256, extensionsBytes: Int = 16384) {
        self.extensionBytes = extensionBytes
        extensionLeft = extensionBytes
        extensionsLeft = extensionsBytes
    }

    /// Looks at `bytes` from `start` on. Positions are absolute; call again from the consumed position until it is
    /// `.needMore`.
    public mutating func next(_ bytes: borrowing Span<UInt8>, from start: Int) -> Step {
        let end = bytes.count
        var at = start
        while at < end {
            switch state {
            case .data:
                let count = UInt64(end &- at) < remaining ? end &- at : Int(truncatingIfNeeded: remaining)
                remaining &-= UInt64(count)
                if remaining == 0 { state = .dataReturn }
                return .data(at..<at &+ count)
            case .dataReturn:
                guard bytes[at] == Byte.cr else { return .malformed("chunk data not followed by CRLF") }
                state = .dataLineFeed
            case .dataLineFeed:
                guard bytes[at] == Byte.lf else { return .malformed("chunk data not followed by CRLF") }
                state = .size
                digits = 0
            case .size:
                if let defect = takeSize(bytes[at]) { return .malformed(defect) }
            case .lineFeed:
                guard bytes[at] == Byte.lf else { return .malformed("CR without LF in chunk line") }
                extensionLeft = extensionBytes
                if remaining == 0 {
                    state = .done
                    return .lastChunk(consumed: at &+ 1)
                }
                state = .data
            case .done:
                return .lastChunk(consumed: at)
            default:
                if let defect = takeExtension(bytes[at]) { return .malformed(defect) }
            }
            at &+= 1
        }
        return state == .done ? .lastChunk(consumed: at) : .needMore(consumed: at)
    }

    /// `chunk-size = 1*HEXDIG`: at most sixteen digits and 2^63 - 1.
    private mutating func takeSize(_ byte: UInt8) -> StaticString? {
        if let digit = Byte.hex(byte) {
            if digits == 0 { remaining = 0 }
            guard digits < 16, remaining < 1 << 59 else { return "chunk size too large" }
            digits &+= 1
            remaining = remaining &<< 4 | UInt64(digit)
            return nil
        }
        guard digits > 0 else { return "chunk size missing" }
        switch byte {
        case Byte.cr:
            state = .lineFeed
            return nil
        case UInt8(ascii: ";"), Byte.space, Byte.tab:
            state = .beforeSemicolon
            return takeExtension(byte)
        default: return "malformed chunk size"
        }
    }

    /// `*( BWS ";" BWS chunk-ext-name [ BWS "=" BWS chunk-ext-val ] )`, each byte charged to both bounds.
    private mutating func takeExtension(_ byte: UInt8) -> StaticString? {
        if byte == Byte.cr {
            guard state == .name || state == .value || state == .afterQuoted else { return "malformed chunk extension" }
            state = .lineFeed
            return nil
        }
        guard extensionLeft > 0, extensionsLeft > 0 else {
            exceeded = extensionLeft > 0 ? .body : .chunk
            return "chunk extensions too long"
        }
        extensionLeft &-= 1
        extensionsLeft &-= 1
        if Byte.isControl(byte) { return "control byte in chunk extension" }
        guard let next = extensionState(after: byte) else { return "malformed chunk extension" }
        state = next
        return nil
    }

    private func extensionState(after byte: UInt8) -> State? {
        let semicolon = byte == UInt8(ascii: ";")
        let equals = byte == UInt8(ascii: "=")
        let space = Byte.isSpaceOrTab(byte)
        let token = Byte.isToken(byte)
        switch state {
        case .beforeSemicolon: return semicolon ? .beforeName : space ? .beforeSemicolon : nil
        case .beforeName: return token ? .name : space ? .beforeName : nil
        case .name:
            return token ? .name : semicolon ? .beforeName : equals ? .beforeValue : space ? .afterName : nil
        case .afterName: return semicolon ? .beforeName : equals ? .beforeValue : space ? .afterName : nil
        case .beforeValue:
            return token ? .value : byte == UInt8(ascii: "\"") ? .quoted : space ? .beforeValue : nil
        case .value: return token ? .value : semicolon ? .beforeName : space ? .beforeSemicolon : nil
        case .quoted:
            return byte == UInt8(ascii: "\"") ? .afterQuoted : byte == UInt8(ascii: "\\") ? .quotedPair : .quoted
        case .quotedPair: return .quoted
        case .afterQuoted: return semicolon ? .beforeName : space ? .beforeSemicolon : nil
        default: return nil
        }
    }
}
