private func decode(_ pieces: [ArraySlice<UInt8>]) -> (payload: [UInt8], end: String) {
    var decoder = ChunkedDecoder()
    var payload: [UInt8] = []
    var consumedInAll = 0
    for piece in pieces {
        let bytes = Array(piece)
        var at = 0
        loop: while true {
            switch decoder.next(bytes.span, from: at) {
            case .data(let range):
                precondition(range.lowerBound >= at && range.upperBound <= bytes.count && !range.isEmpty)
                payload += bytes[range]
                at = range.upperBound
            case .needMore(let consumed):
                precondition(consumed == bytes.count)
                consumedInAll += consumed
                break loop
            case .lastChunk(let consumed): return (payload, "end at \(consumedInAll + consumed)")
            case .malformed(let reason): return (payload, "\(reason)")
            }
        }
    }
    return (payload, "more")
}

/// Whole and split, the same.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = FuzzInput(start, count)
    let whole = decode([input.bytes[...]])
    let split = decode([input.bytes[..<input.split], input.bytes[input.split...]])
    precondition(whole.payload == split.payload && whole.end == split.end, "\(whole.end) ≠ \(split.end)")
    return 0
}
