/// The name a client claims in its Login Start. Only that much is read of it, so that new versions cannot break it.
public struct MinecraftLoginStart: Sendable, Equatable {
    /// Where it ends in the bytes it was read from.
    public var end: Int
    /// The name, unverified: 1 to 16 characters.
    public var nameRange: Range<Int>

    /// What came of reading one.
    public enum Outcome: Sendable, Equatable {
        case partial
        case malformed
        case complete(MinecraftLoginStart)
    }

    /// The longest frame taken, without its length. The longest that a client sends has about 885 bytes.
    public static let limit = 1024

    /// Reads the frame that starts at `start`.
    public static func parse(_ bytes: borrowing Span<UInt8>, from start: Int) -> Outcome {
        // 16 characters are at most 48 bytes of UTF-8.
        switch MinecraftFrame.firstText(bytes, from: start, least: 3, most: limit, length: 1...48) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .complete(let name, let end):
            guard characters(bytes, name) <= 16 else { return .malformed }
            return .complete(.init(end: end, nameRange: name))
        }
    }

    private static func characters(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> Int {
        var count = 0
        for index in range where bytes[index] & 0xc0 != 0x80 { count += 1 }
        return count
    }
}

/// What a client sends in the status state.
public enum MinecraftStatusRequest: Sendable, Equatable {
    case partial
    case malformed
    /// `01 00`; where it ends.
    case status(end: Int)
    /// Eight bytes to be echoed; they end where the packet ends.
    case ping(payload: Range<Int>)

    /// Reads the packet that starts at `start`.
    public static func parse(_ bytes: borrowing Span<UInt8>, from start: Int) -> MinecraftStatusRequest {
        switch MinecraftFrame.bounds(bytes, from: start, least: 1, most: 9) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .body(let body):
            guard body.lowerBound < bytes.count else { return .partial }
            switch (bytes[body.lowerBound], body.count) {
            case (0, 1): return .status(end: body.upperBound)
            case (1, 9):
                guard bytes.count >= body.upperBound else { return .partial }
                return .ping(payload: (body.lowerBound + 1)..<body.upperBound)
            default: return .malformed
            }
        }
    }
}

/// A server's answer to a status request.
public enum MinecraftStatusResponse: Sendable, Equatable {
    case partial
    case malformed
    /// Where its JSON lies. Bytes behind it in the same frame are left out.
    case complete(json: Range<Int>)

    /// The longest frame taken: 32 767 characters of text.
    public static let limit = 3 * 32_767 + 16

    /// Reads an answer from the first bytes a server sent.
    public static func parse(_ bytes: borrowing Span<UInt8>) -> MinecraftStatusResponse {
        switch MinecraftFrame.firstText(bytes, from: 0, least: 4, most: limit, length: 2...(.max)) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .complete(let json, _): return .complete(json: json)
        }
    }
}
