/// One field line of a head, as positions in the bytes that were parsed.
public struct HeadField: Sendable {
    @usableFromInline let start: UInt32
    @usableFromInline let valueStart: UInt32
    @usableFromInline let valueEnd: UInt32
    @usableFromInline let end: UInt32
    @usableFromInline let nameLength: UInt16
    /// Which name it is.
    public internal(set) var name: FieldName

    @usableFromInline
    init(start: UInt32, valueStart: UInt32, valueEnd: UInt32, end: UInt32, nameLength: UInt16, name: FieldName) {
        self.start = start
        self.valueStart = valueStart
        self.valueEnd = valueEnd
        self.end = end
        self.nameLength = nameLength
        self.name = name
    }

    /// The name's bytes.
    @inlinable public var nameRange: Range<Int> { Positions.range(start, start &+ UInt32(nameLength)) }

    /// The value's bytes, without the spaces and tabs around it.
    @inlinable public var valueRange: Range<Int> { Positions.range(valueStart, valueEnd) }

    /// The whole line: from the name's first byte through CRLF.
    @inlinable public var lineRange: Range<Int> { Positions.range(start, end) }
}

/// Positions are kept in 32 bits and handed out as ranges.
@usableFromInline
enum Positions {
    @inlinable
    @inline(__always)
    static func range(_ start: UInt32, _ end: UInt32) -> Range<Int> {
        Int(start)..<max(Int(start), Int(end))
    }
}

/// A table of field lines with room for a fixed number, used again for every head, so that parsing allocates nothing.
///
/// One belongs to each event loop and is used on its thread only; what it holds is valid until the next parse.
@safe
public final class HeadFields {
    /// Field lines it can hold.
    public let capacity: Int
    @usableFromInline
    struct Summary {
        @usableFromInline var count = 0
        @usableFromInline var seen: UInt64 = 0
        @usableFromInline var again: UInt64 = 0

        init() {}
    }
    @usableFromInline let lines: UnsafeMutablePointer<HeadField>
    // Behind pointers, as a class's own variables would cost an exclusivity check at each use.
    @usableFromInline let summary: UnsafeMutablePointer<Summary>
    @usableFromInline let firsts: UnsafeMutablePointer<UInt16>

    /// A table for at most `capacity` field lines, 65 535 at most.
    public init(capacity: Int) {
        precondition((1...65_535).contains(capacity))
        self.capacity = capacity
        unsafe lines = .allocate(capacity: capacity)
        unsafe summary = .allocate(capacity: 1)
        unsafe summary.initialize(to: Summary())
        unsafe firsts = .allocate(capacity: 64)
        unsafe firsts.initialize(repeating: 0, count: 64)
    }

    deinit {
        unsafe lines.deallocate()
        unsafe summary.deallocate()
        unsafe firsts.deallocate()
    }

    /// Field lines held.
    @inlinable public var count: Int { unsafe summary.pointee.count }

    /// The field line at `index`, in the order received.
    @inlinable public subscript(index: Int) -> HeadField {
        precondition(index >= 0 && index < count)
        return unsafe lines[index]
    }

    /// Whether a field of this name is held.
    @inlinable public func contains(_ name: FieldName) -> Bool {
        unsafe summary.pointee.seen &>> UInt64(name.rawValue) & 1 != 0
    }

    /// Whether more than one field of this name is held.
    @inlinable public func repeats(_ name: FieldName) -> Bool {
        unsafe summary.pointee.again &>> UInt64(name.rawValue) & 1 != 0
    }

    /// The first field of this name.
    @inlinable public func first(_ name: FieldName) -> HeadField? {
        guard contains(name) else { return nil }
        return unsafe lines[Int(firsts[Int(name.rawValue)])]
    }

    /// How many fields of this name are held.
    public func count(of name: FieldName) -> Int {
        guard repeats(name) else { return contains(name) ? 1 : 0 }
        var found = 0
        for index in 0..<count where unsafe lines[index].name == name { found += 1 }
        return found
    }

    /// Forgets every line.
    public func removeAll() {
        unsafe summary.pointee = Summary()
    }

    /// Puts a line, whose name is not known yet, at `index`.
    @inline(__always)
    func set(_ index: Int, _ line: HeadField) {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: capacity))
        unsafe lines[index] = line
    }

    /// Says how many lines were put.
    func setCount(_ count: Int) {
        precondition(count >= 0 && count <= capacity)
        unsafe summary.pointee.count = count
    }

    /// Says which name the line at `index` has.
    @inline(__always)
    func name(_ index: Int, _ name: FieldName) {
        precondition(UInt(bitPattern: index) < UInt(bitPattern: count))
        unsafe lines[index].name = name
        let bit: UInt64 = 1 &<< UInt64(name.rawValue)
        if unsafe summary.pointee.seen & bit != 0 {
            unsafe summary.pointee.again |= bit
        } else {
            unsafe summary.pointee.seen |= bit
            unsafe firsts[Int(name.rawValue)] = UInt16(truncatingIfNeeded: index)
        }
    }
}
