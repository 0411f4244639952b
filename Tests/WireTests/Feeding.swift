import Wire

/// What a parser made of its input, told in words so that two runs can be compared and a failure reads well.
struct Verdict: Equatable, CustomStringConvertible {
    var text: String
    /// Malformed, and for which status; reasons in words may depend on the split, never the status.
    var status: Int?

    var description: String { text }
    var isComplete: Bool { text.hasPrefix("complete") }
    var isPartial: Bool { text == "partial" }
}

/// One way of handing bytes over: how many are there at each call.
private func schedules(_ count: Int) -> [[Int]] {
    var all: [[Int]] = [[count], Array(0...count)]
    for split in stride(from: 0, to: count, by: max(1, count / 1500)) { all.append([split, count]) }
    if count > 8 { all.append(Array(stride(from: 7, to: count, by: 7)) + [count]) }
    return all
}

/// Runs `step` on growing prefixes of `bytes` in many ways (whole, byte by byte, split at each position, by sevens) and
/// gives the one verdict, or a description of where two differ. `step` gets the number of bytes there and whether this
/// is a new run; it answers nil for more.
func feedEveryWay(_ bytes: [UInt8], _ step: (_ count: Int, _ isNew: Bool) -> Verdict) -> Verdict {
    var agreed: Verdict?
    for schedule in schedules(bytes.count) {
        var verdict = Verdict(text: "partial")
        for (index, count) in schedule.enumerated() {
            verdict = step(count, index == 0)
            if !verdict.isPartial { break }
        }
        if let agreed, agreed != verdict {
            return Verdict(text: "differs: whole gives \(agreed), \(schedule.prefix(3))… gives \(verdict)")
        }
        agreed = verdict
    }
    return agreed ?? Verdict(text: "partial")
}

/// The text of a run of bytes.
func text(_ bytes: [UInt8], _ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }

func describe(_ fields: HeadFields, _ bytes: [UInt8]) -> String {
    (0..<fields.count).map {
        let field = fields[$0]
        return "[\(field.name)|\(text(bytes, field.nameRange))|\(text(bytes, field.valueRange))|\(field.lineRange)]"
    }.joined()
}

func describe(_ head: RequestHead, _ fields: HeadFields, _ bytes: [UInt8]) -> String {
    """
    complete \(head.method) \(text(bytes, head.methodRange)) \(text(bytes, head.targetRange)) \
    path=\(text(bytes, head.pathRange)) query=\(head.queryRange.map { text(bytes, $0) } ?? "-") \(head.form) \
    1.\(head.minorVersion) \(head.byteCount) \(head.fieldsRange) \(head.framing) keep=\(head.keepAlive) \
    expect=\(head.expectContinue) ws=\(head.isWebSocketUpgrade) up=\(head.hasOtherUpgrade) \
    host=\(text(bytes, head.authorityRange)) \(describe(fields, bytes))
    """
}

func describe(_ head: ResponseHead, _ fields: HeadFields, _ bytes: [UInt8]) -> String {
    """
    complete \(head.status) \(text(bytes, head.reasonRange)) 1.\(head.minorVersion) \(head.byteCount) \
    \(head.fieldsRange) \(head.framing) keep=\(head.keepAlive) interim=\(head.isInterim) \(describe(fields, bytes))
    """
}

/// Parses a request head in every way.
func request(_ bytes: [UInt8], limits: HeadLimits = .request) -> Verdict {
    let fields = HeadFields(capacity: 200)
    var scan = HeadScan()
    return feedEveryWay(bytes) { count, isNew in
        if isNew { scan = HeadScan() }
        switch HTTP1.parseRequestHead(bytes.span.extracting(0..<count), scan: &scan, into: fields, limits: limits) {
        case .complete(let head): return Verdict(text: describe(head, fields, bytes))
        case .partial:
            // Another connection uses the table meanwhile.
            fields.removeAll()
            return Verdict(text: "partial")
        case .malformed(let defect):
            let seen = "cookies=\(scan.cookieBytes) \(scan.method.map { "\($0)" } ?? "-") \(describe(fields, bytes))"
            let kind = "\(defect)".prefix { $0 != "(" }
            return Verdict(text: "\(kind) \(defect.status == 431 ? seen : "")", status: defect.status)
        }
    }
}

func request(_ text: String, limits: HeadLimits = .request) -> Verdict { request(Array(text.utf8), limits: limits) }

/// Parses an answer's head in every way.
func response(
    _ bytes: [UInt8], limits: HeadLimits = .response, answering method: Wire.Method = .get, upgraded: Bool = false
) -> Verdict {
    let fields = HeadFields(capacity: 200)
    var scan = HeadScan()
    return feedEveryWay(bytes) { count, isNew in
        if isNew { scan = HeadScan() }
        let outcome = HTTP1.parseResponseHead(
            bytes.span.extracting(0..<count), scan: &scan, into: fields, limits: limits, answering: method,
            upgraded: upgraded)
        switch outcome {
        case .complete(let head): return Verdict(text: describe(head, fields, bytes))
        case .partial:
            fields.removeAll()
            return Verdict(text: "partial")
        case .malformed(let defect):
            return Verdict(text: "\("\(defect)".prefix { $0 != "(" })", status: defect.status)
        }
    }
}
