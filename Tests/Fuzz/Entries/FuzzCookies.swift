/// Cutting our cookies out leaves none of ours, and doing it twice is doing it once.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzz(_ start: UnsafePointer<UInt8>?, _ count: Int) -> Int32 {
    let bytes = Array(UnsafeBufferPointer(start: start, count: count))
    var once = ByteBuffer()
    _ = CookieHeader.appendWithoutOurs(bytes.span, to: &once)
    let left = once.withReadable { span in (0..<span.count).map { span[$0] } }
    precondition(!CookieHeader.containsOurs(left.span), "\(bytes) left \(left)")
    var twice = ByteBuffer()
    _ = CookieHeader.appendWithoutOurs(left.span, to: &twice)
    precondition(twice.withReadable { span in (0..<span.count).map { span[$0] } } == left)
    var rest = ByteBuffer()
    SetCookieHeader.appendWithoutDomain(bytes.span, to: &rest)
    precondition(!rest.withReadable { SetCookieHeader.hasDomain($0) })
    return 0
}
