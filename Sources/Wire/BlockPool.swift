/// Blocks of three sizes for the `ByteBuffer`s of one event loop, so that the steady state allocates nothing.
///
/// Owned by one loop and used on its thread only. It keeps at most `keep` free blocks of a size; more go back to the
/// allocator, so that a burst does not hold memory for ever.
@safe
public final class BlockPool {
    /// One TLS record and its head-room.
    public static let small = 17 * 1024
    /// The high-water mark of one direction of a stream (`limits.buffer`).
    public static let medium = 68 * 1024
    /// What a bulk transfer gathers into one system call while its reader keeps up.
    public static let large = 272 * 1024

    private var free:
        (
            small: [UnsafeMutablePointer<UInt8>], medium: [UnsafeMutablePointer<UInt8>],
            large: [UnsafeMutablePointer<UInt8>]
        )
    private let keep: (small: Int, medium: Int, large: Int)

    /// A pool that keeps at most so many free blocks of each size.
    public init(keepSmall: Int = 64, keepMedium: Int = 16, keepLarge: Int = 4) {
        unsafe free = ([], [], [])
        keep = (keepSmall, keepMedium, keepLarge)
        unsafe free.small.reserveCapacity(keepSmall)
        unsafe free.medium.reserveCapacity(keepMedium)
        unsafe free.large.reserveCapacity(keepLarge)
    }

    deinit { trim() }

    /// Gives all free blocks back to the allocator: memory is short.
    public func trim() {
        while let block = unsafe free.small.popLast() ?? free.medium.popLast() ?? free.large.popLast() {
            unsafe block.deallocate()
        }
    }

    /// A block of at least `count` bytes and its true size.
    @usableFromInline
    func take(_ count: Int) -> (UnsafeMutablePointer<UInt8>, Int) {
        let size: Int
        if count <= Self.small {
            size = Self.small
            if let block = unsafe free.small.popLast() { return unsafe (block, size) }
        } else if count <= Self.medium {
            size = Self.medium
            if let block = unsafe free.medium.popLast() { return unsafe (block, size) }
        } else if count <= Self.large {
            size = Self.large
            if let block = unsafe free.large.popLast() { return unsafe (block, size) }
        } else {
            size = count
        }
        return (UnsafeMutablePointer<UInt8>.allocate(capacity: size), size)
    }

    /// Takes back a block that a buffer no longer needs.
    @usableFromInline
    func give(_ block: UnsafeMutablePointer<UInt8>, _ size: Int) {
        switch size {
        case Self.small where unsafe free.small.count < keep.small: unsafe free.small.append(block)
        case Self.medium where unsafe free.medium.count < keep.medium: unsafe free.medium.append(block)
        case Self.large where unsafe free.large.count < keep.large: unsafe free.large.append(block)
        default: unsafe block.deallocate()
        }
    }
}
