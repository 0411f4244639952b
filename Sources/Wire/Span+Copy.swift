extension Span where Element == UInt8 {
    /// The bytes as an array of their own. Not for the data path.
    public borrowing func copied() -> [UInt8] {
        unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
            for index in 0..<count { unsafe buffer[index] = self[index] }
            initialized = count
        }
    }

    /// The bytes as text, repaired where they are not UTF-8. Not for the data path.
    public borrowing func text() -> String { String(decoding: copied(), as: UTF8.self) }
}
