/// JSON is YAML but for one thing: characters beyond the basic plane are escaped as two surrogates, which YAML refuses.
enum JSONEscapes {
    /// Replaces each pair `\ud83c\udfae` by the one YAML escape `\U0001f3ae` in their place.
    static func joinSurrogates(_ bytes: inout [UInt8]) {
        var output = 0
        var input = 0
        while input < bytes.count {
            if bytes[input] == backslash {
                if let high = unit(bytes, input), (0xd800..<0xdc00).contains(high),
                    let low = unit(bytes, input + 6), (0xdc00..<0xe000).contains(low)
                {
                    let value = 0x10000 + (high - 0xd800) << 10 + (low - 0xdc00)
                    bytes[output] = backslash
                    bytes[output + 1] = UInt8(ascii: "U")
                    for digit in 0..<8 {
                        let nibble = UInt8(value >> UInt32(28 - 4 * digit) & 15)
                        bytes[output + 2 + digit] = nibble < 10 ? 0x30 + nibble : 0x57 + nibble
                    }
                    output += 10
                    input += 12
                    continue
                }
                // The escaped byte goes along, so that `\\u` is not taken for an escape.
                if input + 1 < bytes.count {
                    bytes[output] = bytes[input]
                    output += 1
                    input += 1
                }
            }
            bytes[output] = bytes[input]
            output += 1
            input += 1
        }
        bytes.removeLast(bytes.count - output)
    }

    private static let backslash = UInt8(ascii: "\\")

    /// The 16 bits of `\uXXXX` at `at`.
    private static func unit(_ bytes: [UInt8], _ at: Int) -> UInt32? {
        guard at + 6 <= bytes.count, bytes[at] == backslash, bytes[at + 1] == UInt8(ascii: "u") else { return nil }
        var value: UInt32 = 0
        for byte in bytes[(at + 2)..<(at + 6)] {
            switch byte {
            case 0x30...0x39: value = value << 4 | UInt32(byte - 0x30)
            case 0x41...0x46, 0x61...0x66: value = value << 4 | UInt32((byte | 0x20) - 0x57)
            default: return nil
            }
        }
        return value
    }
}
