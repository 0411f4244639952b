nonisolated(unsafe) private let fields = HeadFields(capacity: 100)

private func describe(_ head: RequestHead, _ bytes: borrowing Span<UInt8>) -> String {
    // Every position must lie inside what was given.
    precondition(head.byteCount <= bytes.count)
    var lines =
        "\(head.byteCount) \(head.method) \(head.framing) \(head.keepAlive) \(head.authorityRange) \(head.pathRange)"
    for index in 0..<fields.count {
        let field = fields[index]
        precondition(field.valueRange.upperBound <= field.lineRange.upperBound)
        precondition(field.lineRange.upperBound <= head.byteCount)
        lines += " \(field.name)\(field.nameRange)\(field.valueRange)"
    }
    return lines
}

private func parse(_ pieces: [ArraySlice<UInt8>]) -> String {
    var scan = HeadScan()
    var seen: [UInt8] = []
    var result = "partial"
    for piece in pieces {
        seen += piece
        let bytes = seen.span
        result = summary(HTTP1.parseRequestHead(bytes, scan: &scan, into: fields)) { describe($0, bytes) }
        if result != "partial" { break }
    }
    return result
}

/// Whole and split, the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = FuzzInput(start, count)
    let whole = parse([input.bytes[...]])
    let split = parse([input.bytes[..<input.split], input.bytes[input.split...]])
    precondition(whole == split, "\(whole) ≠ \(split)")
    return 0
}
