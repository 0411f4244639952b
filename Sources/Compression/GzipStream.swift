internal import CZlib
public import Wire

/// One gzip stream (RFC 1952): bytes in, fewer bytes out, at the caller's pace.
///
/// It belongs to one answer at a time and to one thread; a loop keeps idle ones in a `GzipPool`. What it holds
/// (`heldBytes`) is taken at once in `init` and does not grow, however long the answer.
@safe
public final class GzipStream {
    /// What must have come out when a call returns.
    public enum Flush: Sendable {
        /// Whatever is ready; the rest waits for more bytes, as bytes compress better together.
        case none
        /// All bytes fed so far can be decoded: for an answer that pauses.
        case sync
        /// All bytes, and the end of the stream.
        case finish
    }

    // In memory of its own, as zlib keeps its address.
    private let gzip: UnsafeMutablePointer<zlh_gzip>
    /// Whether the stream has ended, and `reset` must come before more bytes.
    public private(set) var isFinished = false

    /// Output is asked for in pieces of this many bytes.
    private static let piece = 4096

    /// A stream at the start; nil without memory. `level` is zlib's, 1 (fast) to 9 (small); others are brought into
    /// that range.
    public init?(level: Int = GzipSettings.level) {
        unsafe gzip = .allocate(capacity: 1)
        let begun = unsafe zlh_gzip_begin(
            gzip, Int32(min(max(level, 1), 9)), GzipSettings.windowBits, GzipSettings.memoryLevel)
        if begun != Z_OK {
            unsafe gzip.deallocate()
            return nil
        }
    }

    deinit {
        unsafe deflateEnd(&gzip.pointee.stream)
        unsafe gzip.deallocate()
    }

    /// Memory that zlib holds for this stream, in bytes.
    public var heldBytes: Int { unsafe gzip.pointee.held }

    /// Feeds `bytes` and appends to `output` what comes out: for long input less than it, and never more than it and
    /// a few bytes for each 16 KiB and each flush. Not after `finish`, unless `reset` came between.
    public func compress(_ bytes: borrowing Span<UInt8>, into output: inout ByteBuffer, flush: Flush = .none) {
        precondition(!isFinished)
        unsafe bytes.withUnsafeBufferPointer { input in
            var at = 0
            repeat {
                // zlib counts in 32 bits.
                let count = min(input.count - at, Int(UInt32.max))
                unsafe gzip.pointee.stream.next_in = unsafe input.baseAddress.map { unsafe $0 + at }
                unsafe gzip.pointee.stream.avail_in = UInt32(count)
                at += count
                drain(into: &output, at == input.count ? flush.code : Z_NO_FLUSH)
            } while at < input.count
        }
        // The input is lent for this call only.
        unsafe gzip.pointee.stream.next_in = nil
        if flush == .finish { isFinished = true }
    }

    /// Makes it as new for another answer. What comes out next does not depend on what went in before.
    public func reset() {
        unsafe deflateReset(&gzip.pointee.stream)
        isFinished = false
    }

    /// Runs zlib until it leaves room, which says that nothing more waits inside.
    private func drain(into output: inout ByteBuffer, _ flush: Int32) {
        var isFull = true
        while isFull {
            // In less room than this zlib could write the mark of a flush more than once.
            if output.room < 64 { output.reserve(Self.piece) }
            isFull = output.withWritable { free in
                unsafe free.withUnsafeMutableBufferPointer { room, used in
                    let count = min(room.count - used, Self.piece)
                    unsafe gzip.pointee.stream.next_out = unsafe room.baseAddress.map { unsafe $0 + used }
                    unsafe gzip.pointee.stream.avail_out = UInt32(count)
                    unsafe _ = deflate(&gzip.pointee.stream, flush)
                    let left = unsafe Int(gzip.pointee.stream.avail_out)
                    used += count - left
                    return left == 0
                }
            }
        }
    }
}

extension GzipStream.Flush {
    fileprivate var code: Int32 {
        switch self {
        case .none: Z_NO_FLUSH
        case .sync: Z_SYNC_FLUSH
        case .finish: Z_FINISH
        }
    }
}
