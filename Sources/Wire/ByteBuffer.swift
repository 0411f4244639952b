/// A growable run of bytes with a read end and a write end: bytes are appended at the tail and consumed at the head.
///
/// It holds memory only while it holds bytes worth keeping: a connection takes a block from its loop's `BlockPool`
/// when something arrives and gives it back, by `recycle(into:)`, when everything was consumed. It belongs to one
/// connection and so to one thread.
@safe
public struct ByteBuffer: ~Copyable {
    @usableFromInline var base: UnsafeMutablePointer<UInt8>?
    /// Bytes of storage; 0 when none is held.
    public private(set) var capacity: Int
    @usableFromInline var head: Int
    @usableFromInline var tail: Int

    /// An empty buffer without storage.
    public init() {
        unsafe base = nil
        capacity = 0
        head = 0
        tail = 0
    }

    /// An empty buffer with storage of its own for `capacity` bytes.
    public init(capacity: Int) {
        precondition(capacity > 0)
        unsafe base = .allocate(capacity: capacity)
        self.capacity = capacity
        head = 0
        tail = 0
    }

    deinit {
        unsafe base?.deallocate()
    }

    /// Readable bytes.
    @inlinable public var count: Int { tail - head }

    /// Whether nothing is readable.
    @inlinable public var isEmpty: Bool { tail == head }

    /// Bytes that `append` takes without growing.
    @inlinable public var room: Int { capacity - tail }

    /// Lends the readable bytes.
    @inlinable
    public borrowing func withReadable<R: ~Copyable, E: Error>(
        _ body: (borrowing Span<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        let bytes = unsafe UnsafeBufferPointer(start: base.map { unsafe UnsafePointer($0 + head) }, count: tail - head)
        return try unsafe body(bytes.span)
    }

    /// Lends the free space behind the readable bytes; what `body` initialises becomes readable.
    @inlinable
    public mutating func withWritable<R: ~Copyable, E: Error>(
        _ body: (inout OutputSpan<UInt8>) throws(E) -> R
    ) throws(E) -> R {
        let free = unsafe UnsafeMutableBufferPointer(start: base.map { unsafe $0 + tail }, count: capacity - tail)
        var output = unsafe OutputSpan(buffer: free, initializedCount: 0)
        defer {
            tail += unsafe output.finalize(for: free)
            output = OutputSpan()
        }
        return try body(&output)
    }

    /// Drops the first `count` readable bytes.
    @inlinable
    public mutating func consume(_ count: Int) {
        precondition(count >= 0 && count <= tail - head)
        head += count
        if head == tail {
            head = 0
            tail = 0
        }
    }

    /// Puts `prefix` directly before the readable bytes, over what was consumed; `false` when there is no room.
    public mutating func prepend(_ prefix: borrowing Span<UInt8>) -> Bool {
        guard prefix.count <= head, let base = unsafe base else { return false }
        head -= prefix.count
        for at in 0..<prefix.count { unsafe base[head + at] = prefix[at] }
        return true
    }

    /// Lets an empty buffer begin `count` bytes into its storage, so that `prepend` finds room.
    public mutating func leaveHeadroom(_ count: Int) {
        precondition(isEmpty && count >= 0 && count <= capacity)
        head = count
        tail = count
    }

    /// Drops the last `count` readable bytes.
    @inlinable
    public mutating func dropLast(_ count: Int) {
        precondition(count >= 0 && count <= tail - head)
        tail -= count
    }

    /// Drops the readable bytes at `range`, moving those behind it.
    public mutating func remove(_ range: Range<Int>) {
        precondition(range.lowerBound >= 0 && range.upperBound <= tail - head)
        guard let base = unsafe base, !range.isEmpty else { return }
        let start = unsafe base + head
        unsafe (start + range.lowerBound).update(from: start + range.upperBound, count: tail - head - range.upperBound)
        tail -= range.count
    }

    /// Drops all bytes and keeps the storage.
    @inlinable
    public mutating func removeAll() {
        head = 0
        tail = 0
    }

    /// Makes room for at least `count` more bytes, moving or growing as needed.
    @inlinable
    public mutating func reserve(_ count: Int) {
        if capacity - tail < count { makeRoom(count) }
    }

    @usableFromInline
    mutating func makeRoom(_ count: Int) {
        let used = tail - head
        if capacity - used >= count, let base = unsafe base {
            unsafe base.update(from: base + head, count: used)
        } else {
            var wanted = max(capacity, 256)
            while wanted - used < count { wanted *= 2 }
            let grown = UnsafeMutablePointer<UInt8>.allocate(capacity: wanted)
            if let base = unsafe base {
                unsafe grown.update(from: base + head, count: used)
                unsafe base.deallocate()
            }
            unsafe base = unsafe grown
            capacity = wanted
        }
        head = 0
        tail = used
    }

    /// Appends one byte.
    @inlinable
    public mutating func append(_ byte: UInt8) {
        reserve(1)
        unsafe base.unsafelyUnwrapped[tail] = byte
        tail += 1
    }

    /// Appends a copy of `bytes`.
    @inlinable
    public mutating func append(_ bytes: borrowing Span<UInt8>) {
        let count = bytes.count
        if count == 0 { return }
        reserve(count)
        unsafe bytes.withUnsafeBufferPointer { source in
            unsafe (base.unsafelyUnwrapped + tail).update(from: source.baseAddress.unsafelyUnwrapped, count: count)
        }
        tail += count
    }

    /// Appends the bytes of `bytes[range]`.
    @inlinable
    public mutating func append(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) {
        append(bytes.extracting(range))
    }

    /// Appends `bytes` with the letters A to Z made small.
    public mutating func append(lowercasing bytes: borrowing Span<UInt8>) {
        reserve(bytes.count)
        for index in 0..<bytes.count {
            let byte = bytes[index]
            unsafe base.unsafelyUnwrapped[tail &+ index] = byte &- 0x41 < 26 ? byte | 0x20 : byte
        }
        tail += bytes.count
    }

    /// Appends literal text. Inlined, so that the copy of a short one is a few instructions.
    @inlinable
    @inline(__always)
    public mutating func append(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        if count == 0 { return }
        reserve(count)
        unsafe (base.unsafelyUnwrapped + tail).update(from: text.utf8Start, count: count)
        tail += count
    }

    /// Appends the UTF-8 of `text`. Not for the data path.
    public mutating func append(text: String) {
        append(text.utf8Span.span)
    }

    /// Appends `value` in decimal.
    @inlinable
    public mutating func append(decimal value: UInt64) {
        reserve(20)
        var digits = 1
        var rest = value / 10
        while rest != 0 {
            digits += 1
            rest /= 10
        }
        rest = value
        var at = tail + digits
        repeat {
            at -= 1
            unsafe base.unsafelyUnwrapped[at] = UInt8(truncatingIfNeeded: rest % 10) + 0x30
            rest /= 10
        } while rest != 0
        tail += digits
    }

    /// Appends `value` in lower-case hexadecimal, without leading zeros.
    @inlinable
    public mutating func append(hex value: UInt64) {
        let needed = max(1, (64 - value.leadingZeroBitCount + 3) / 4)
        append(hex16: value)
        // Sixteen digits are written at once; the leading zeros are moved over.
        if needed < 16 {
            unsafe (base.unsafelyUnwrapped + (tail - 16)).update(
                from: base.unsafelyUnwrapped + (tail - needed), count: needed)
            tail -= 16 - needed
        }
    }

    /// Appends `value` as sixteen lower-case hexadecimal digits.
    @inlinable
    public mutating func append(hex16 value: UInt64) {
        reserve(16)
        let digits = unsafe UnsafeMutableRawPointer(base.unsafelyUnwrapped + tail)
        unsafe digits.storeBytes(of: Self.hexDigits(UInt32(truncatingIfNeeded: value >> 32)), as: UInt64.self)
        unsafe digits.storeBytes(
            of: Self.hexDigits(UInt32(truncatingIfNeeded: value)), toByteOffset: 8, as: UInt64.self)
        tail += 16
    }

    /// Eight digits in memory order: the nibbles are spread to a byte each, then made letters or figures all at once.
    @usableFromInline
    @inline(__always)
    static func hexDigits(_ value: UInt32) -> UInt64 {
        var nibbles = UInt64(value)
        nibbles = (nibbles | nibbles << 16) & 0x0000_ffff_0000_ffff
        nibbles = (nibbles | nibbles << 8) & 0x00ff_00ff_00ff_00ff
        nibbles = (nibbles | nibbles << 4) & 0x0f0f_0f0f_0f0f_0f0f
        let letters = (nibbles &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
        return (nibbles &+ 0x3030_3030_3030_3030 &+ letters &* 0x27).bigEndian
    }

    /// Gives the storage back to `pool` when nothing is readable, and moves a remainder out of a block much larger than
    /// itself, so that a connection that waits holds no more than it must.
    @inlinable
    public mutating func recycle(into pool: BlockPool) {
        if unsafe base != nil { settle(pool) }
    }

    @usableFromInline
    mutating func settle(_ pool: BlockPool) {
        let used = tail - head
        if used == 0 {
            if let base = unsafe base { unsafe pool.give(base, capacity) }
            unsafe base = nil
            capacity = 0
        } else if capacity >= BlockPool.small,
            used <= BlockPool.small / 8 || capacity > BlockPool.small && used <= capacity / 2
        {
            var kept = ByteBuffer(capacity: max(used, 64))
            withReadable { kept.append($0) }
            if let base = unsafe base { unsafe pool.give(base, capacity) }
            unsafe base = nil
            capacity = 0
            swap(&self, &kept)
        }
        if isEmpty {
            head = 0
            tail = 0
        }
    }

    /// Makes room for at least `count` more bytes with a block of `pool`, unless there is room already.
    @inlinable
    public mutating func reserve(_ count: Int, from pool: BlockPool) {
        if capacity - tail < count { makeRoom(count, pool) }
    }

    @usableFromInline
    mutating func makeRoom(_ count: Int, _ pool: BlockPool) {
        let used = tail - head
        if capacity - used >= count {
            makeRoom(count)
            return
        }
        let (block, size) = unsafe pool.take(used + count)
        if let base = unsafe base {
            unsafe block.update(from: base + head, count: used)
            unsafe pool.give(base, capacity)
        }
        unsafe base = unsafe block
        capacity = size
        head = 0
        tail = used
    }
}
