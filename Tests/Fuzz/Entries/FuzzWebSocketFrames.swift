/// However the bytes come, the tracker stands at the same place after them, and `boundary` tells the truth.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let input = FuzzInput(start, count)
    var whole = FrameTracker()
    whole.advance(input.bytes.span)
    var split = FrameTracker()
    split.advance(Array(input.bytes[..<input.split]).span)
    let rest = Array(input.bytes[input.split...])
    if let boundary = split.boundary(in: rest.span) {
        var there = split
        there.advance(Array(rest[..<boundary]).span)
        precondition(there.isAtBoundary)
    }
    split.advance(rest.span)
    precondition(whole.isAtBoundary == split.isAtBoundary && whole.sawClose == split.sawClose)
    return 0
}
