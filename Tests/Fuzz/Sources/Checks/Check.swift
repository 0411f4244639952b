import Wire

/// What must hold for any bytes at all. A check that fails traps, which is what the fuzzer looks for; the tests replay
/// the inputs that once made one fail.
public enum Check {
    /// Runs the check of one parser.
    public static func run(_ parser: String, _ bytes: [UInt8]) {
        switch parser {
        case "RequestHead": requestHead(bytes)
        case "ResponseHead": responseHead(bytes)
        case "Chunked": chunked(bytes)
        case "Trailers": trailers(bytes)
        case "Authority": authority(bytes)
        case "Cookies": cookies(bytes)
        case "Frames": frames(bytes)
        case "Minecraft": minecraft(bytes)
        case "MinecraftStatus": minecraftStatus(bytes)
        case "ProxyHeader": proxyHeader(bytes)
        default: preconditionFailure("no such parser")
        }
    }

    /// Lengths at which to hand over growing prefixes: whole, byte by byte, in two halves told by the input itself.
    private static func schedules(_ bytes: [UInt8]) -> [[Int]] {
        let count = bytes.count
        let split = bytes.reduce(count) { ($0 &* 31 &+ Int($1)) & 0xffff } % (count + 1)
        return [[count], Array(0...count), [split, count], [split / 2, split, count]]
    }

    /// Parses growing prefixes until `parse` gives a verdict, nil when it wants more: the same for all schedules.
    /// `state` is what a parser keeps from one prefix to the next.
    static func agreed<State>(
        _ bytes: [UInt8], from state: @autoclosure () -> State, _ parse: (Span<UInt8>, inout State) -> String?
    ) {
        var verdicts: Set<String> = []
        for schedule in schedules(bytes) {
            var state = state()
            var verdict: String?
            for count in schedule where verdict == nil {
                verdict = parse(bytes.span.extracting(0..<count), &state)
            }
            verdicts.insert(verdict ?? "partial")
        }
        precondition(verdicts.count == 1, "it matters how the bytes are split: \(verdicts)")
    }

    // MARK: Heads

    private static let limits = HeadLimits(bytes: 400, fields: 12, emptyLines: 2)

    private static func requestHead(_ bytes: [UInt8]) {
        let fields = HeadFields(capacity: 100)
        agreed(bytes, from: HeadScan()) { span, scan in
            switch HTTP1.parseRequestHead(span, scan: &scan, into: fields, limits: limits) {
            case .partial:
                precondition(span.count < limits.bytes)
                return nil
            case .malformed(let defect): return "\(defect.status) \(defect.status == 431 ? scan.cookieBytes : 0)"
            case .complete(let head):
                verify(Array(bytes[..<head.byteCount]), fields, head.fieldsRange)
                // A handshake may say that it has no body.
                let saysNone = head.isWebSocketUpgrade && fields.contains(.contentLength)
                verify(bytes, fields, saysNone ? .length(0) : head.framing, isRequest: true)
                precondition(fields.count(of: .host) == 1)
                precondition(head.targetRange.lowerBound <= head.pathRange.lowerBound)
                precondition(head.pathRange.upperBound <= head.targetRange.upperBound)
                precondition(bytes[head.targetRange].allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x23 })
                if head.isWebSocketUpgrade { precondition(head.framing == .none && head.method == .get) }
                return "\(head.byteCount) \(head.targetRange) \(head.pathRange) \(head.queryRange as Any)"
                    + " \(head.framing) \(head.keepAlive) \(head.isWebSocketUpgrade) \(head.fieldsRange)"
            }
        }
    }

    private static func responseHead(_ bytes: [UInt8]) {
        let fields = HeadFields(capacity: 100)
        for method in [Wire.Method.get, .head] {
            agreed(bytes, from: HeadScan()) { span, scan in
                let outcome = HTTP1.parseResponseHead(
                    span, scan: &scan, into: fields, limits: limits, answering: method, upgraded: true)
                switch outcome {
                case .partial:
                    precondition(span.count < limits.bytes)
                    return nil
                case .malformed(let defect): return "\(defect.status)"
                case .complete(let head):
                    verify(Array(bytes[..<head.byteCount]), fields, head.fieldsRange)
                    precondition((100...599).contains(head.status))
                    for index in 0..<fields.count {
                        _ = KeepAliveHeader.timeout(in: span.extracting(fields[index].valueRange))
                    }
                    if head.framing == .untilClose { precondition(!head.keepAlive) }
                    if method == .head || head.status < 200 || head.status == 204 || head.status == 304 {
                        precondition(head.framing == .none)
                    } else {
                        verify(bytes, fields, head.framing, isRequest: false)
                    }
                    return "\(head.byteCount) \(head.status) \(head.framing) \(head.keepAlive) \(head.reasonRange)"
                }
            }
        }
    }

    private static func trailers(_ bytes: [UInt8]) {
        let fields = HeadFields(capacity: 100)
        agreed(bytes, from: HeadScan()) { span, scan in
            switch HTTP1.parseTrailers(span, scan: &scan, into: fields, limits: limits) {
            case .partial:
                precondition(span.count < limits.bytes)
                return nil
            case .malformed(let defect):
                precondition(defect.status == 400)
                return "400"
            case .complete(let size):
                verify(Array(bytes[..<size]), fields, 0..<size - 2)
                return "\(size) \(fields.count)"
            }
        }
    }

    /// The table tiles the field lines, and each line is what a plain reading of it gives.
    private static func verify(_ head: [UInt8], _ fields: HeadFields, _ range: Range<Int>) {
        var at = range.lowerBound
        for index in 0..<fields.count {
            let field = fields[index]
            precondition(field.lineRange.lowerBound == at)
            at = field.lineRange.upperBound
            let line = Array(head[field.lineRange])
            guard let colon = line.firstIndex(of: 0x3a) else { preconditionFailure("no colon") }
            let name = Array(line[..<colon])
            precondition(Array(head[field.nameRange]) == name && !name.isEmpty)
            precondition(name.allSatisfy { $0 > 0x20 && $0 < 0x7f && !"\"(),/:;<=>?@[\\]{}".utf8.contains($0) })
            precondition(FieldName(recognising: name.span) == field.name)
            let rest = line[(colon + 1)...].dropLast(2)
            let value = rest.drop { $0 == 0x20 || $0 == 9 }.reversed().drop { $0 == 0x20 || $0 == 9 }.reversed()
            precondition(Array(head[field.valueRange]) == Array(value))
            precondition(value.allSatisfy { $0 >= 0x20 && $0 != 0x7f || $0 == 9 })
        }
        precondition(at == range.upperBound)
        precondition(Array(head.suffix(2)) == [13, 10] && range.upperBound == head.count - 2)
        for (place, byte) in head.enumerated() {
            if byte == 10 { precondition(place > 0 && head[place - 1] == 13) }
            if byte == 13 { precondition(place + 1 < head.count && head[place + 1] == 10) }
        }
    }

    /// The framing is what the fields say to anyone who reads their names without regard to case.
    private static func verify(_ bytes: [UInt8], _ fields: HeadFields, _ framing: BodyFraming, isRequest: Bool) {
        var lengths: [String] = []
        var codings: [String] = []
        for index in 0..<fields.count {
            let value = String(decoding: bytes[fields[index].valueRange], as: UTF8.self)
            switch String(decoding: bytes[fields[index].nameRange], as: UTF8.self).lowercased() {
            case "content-length": lengths.append(value)
            case "transfer-encoding": codings.append(value.lowercased())
            default: break
            }
        }
        switch framing {
        case .none, .untilClose:
            precondition(lengths.isEmpty && codings.isEmpty && (framing == .none) == isRequest)
        case .length(let count):
            precondition(lengths.count == 1 && codings.isEmpty && UInt64(lengths[0]) == count)
        case .chunked: precondition(lengths.isEmpty && codings == ["chunked"])
        }
    }
}
