nonisolated(unsafe) private let fields = HeadFields(capacity: 200)

private func parse(_ pieces: [ArraySlice<UInt8>], _ method: Method, _ upgraded: Bool) -> String {
    var scan = HeadScan()
    var seen: [UInt8] = []
    var result = "partial"
    for piece in pieces {
        seen += piece
        let bytes = seen.span
        let outcome = HTTP1.parseResponseHead(
            bytes, scan: &scan, into: fields, answering: method, upgraded: upgraded)
        result = summary(outcome) { head in
            var lines = "\(head.status) \(head.framing)"
            for index in 0..<fields.count {
                let field = fields[index]
                precondition(field.lineRange.upperBound <= bytes.count)
                lines += " \(field.name)\(field.nameRange)\(field.valueRange)"
            }
            return lines
        }
        if result != "partial" { break }
    }
    return result
}

/// Whole and split, the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = FuzzInput(start, count)
    let method = input.split & 1 == 0 ? Method.get : .head
    let upgraded = input.split & 2 != 0
    let whole = parse([input.bytes[...]], method, upgraded)
    let split = parse([input.bytes[..<input.split], input.bytes[input.split...]], method, upgraded)
    precondition(whole == split, "\(whole) ≠ \(split)")
    return 0
}
