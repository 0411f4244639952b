import Wire

/// Copies the field lines that stay. They are contiguous more often than not, so each run of them is copied at once.
struct KeptLines {
    private var run = 0..<0

    /// Keeps one line; those before it that it does not follow directly are copied now.
    mutating func keep(_ field: HeadField, _ bytes: borrowing Span<UInt8>, into out: inout ByteBuffer) {
        let line = field.lineRange
        if run.upperBound == line.lowerBound && !run.isEmpty {
            run = run.lowerBound..<line.upperBound
        } else {
            out.append(bytes, run)
            run = line
        }
    }

    /// Copies what is kept so far: before a line of our own, and at the end.
    mutating func flush(_ bytes: borrowing Span<UInt8>, into out: inout ByteBuffer) {
        out.append(bytes, run)
        run = 0..<0
    }
}
