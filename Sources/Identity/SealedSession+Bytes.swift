extension SealedSession {
    /// What is sealed in a cookie: a version, the numbers most significant byte first, the texts with their lengths.
    var bytes: [UInt8] {
        var out: [UInt8] = [1]
        out.appendBigEndian(vmid)
        out.appendBigEndian(issuedAt)
        out.appendBigEndian(absoluteEnd)
        for text in [id, user, generation] {
            // Claims come from tokens of at most 2 KiB, generations from routes files that were checked.
            let utf8 = text.utf8.prefix(Int(UInt16.max))
            out.appendBigEndian(UInt16(utf8.count))
            out.append(contentsOf: utf8)
        }
        return out
    }

    /// The session that `bytes` hold; nil when they are of another version or shape.
    init?(bytes: [UInt8]) {
        var rest = bytes[...]
        guard rest.popFirst() == 1, let vmid: UInt32 = rest.popBigEndian(), let issuedAt: Int64 = rest.popBigEndian(),
            let absoluteEnd: Int64 = rest.popBigEndian(), let id = rest.popText(), let user = rest.popText(),
            let generation = rest.popText(), rest.isEmpty
        else { return nil }
        self.init(
            id: id, user: user, vmid: vmid, generation: generation, issuedAt: issuedAt, absoluteEnd: absoluteEnd)
    }
}

extension [UInt8] {
    fileprivate mutating func appendBigEndian<I: FixedWidthInteger>(_ value: I) {
        for place in (0..<I.bitWidth / 8).reversed() { append(UInt8(truncatingIfNeeded: value >> I(place * 8))) }
    }
}

extension ArraySlice<UInt8> {
    fileprivate mutating func popBigEndian<I: FixedWidthInteger>() -> I? {
        guard count >= I.bitWidth / 8 else { return nil }
        var value: I = 0
        for byte in prefix(I.bitWidth / 8) { value = value << 8 | I(truncatingIfNeeded: byte) }
        removeFirst(I.bitWidth / 8)
        return value
    }

    fileprivate mutating func popText() -> String? {
        guard let length: UInt16 = popBigEndian(), count >= Int(length) else { return nil }
        defer { removeFirst(Int(length)) }
        return String(validating: prefix(Int(length)), as: UTF8.self)
    }
}
