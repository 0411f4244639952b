/// The nine bytes before a frame's payload (RFC 9113 section 4.1).
public struct HTTP2FrameHeader: Sendable, Equatable {
    /// Bytes of every frame header.
    public static let count = 9
    /// The first eight, the first of them lowest.
    let first: UInt64
    let last: UInt8

    @unsafe
    init(_ bytes: UnsafePointer<UInt8>) {
        first = unsafe UInt64(littleEndian: UnsafeRawPointer(bytes).loadUnaligned(as: UInt64.self))
        last = unsafe bytes[8]
    }

    /// The nine bytes.
    public var bytes: InlineArray<9, UInt8> {
        InlineArray { $0 < 8 ? UInt8(truncatingIfNeeded: first &>> UInt64($0 &* 8)) : last }
    }
}
