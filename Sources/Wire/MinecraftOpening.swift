/// A modern (1.7 and later) handshake, as positions in the bytes it was read from.
public struct MinecraftHandshake: Sendable, Equatable {
    /// What the client wants next.
    public enum Intent: Int32, Sendable {
        case status = 1
        case login = 2
        /// A login that another server sent here (1.20.5 and later).
        case transfer = 3
    }

    /// Bytes of the frame, length included.
    public var byteCount: Int
    /// The client's protocol number; unknown and negative ones are as good as any.
    public var protocolVersion: Int32
    /// The address the client was given, with whatever markers it put behind it.
    public var hostRange: Range<Int>
    /// The port the client was given.
    public var port: UInt16
    /// What it wants next.
    public var intent: Intent
}

/// A ping of a client older than 1.7.
public struct MinecraftLegacyPing: Sendable, Equatable {
    /// Bytes of the ping.
    public var byteCount: Int
    /// The address in UTF-16, which only 1.6 sends.
    public var hostRange: Range<Int>?
    /// Whether the answer has one line of three parts (1.3 and earlier) instead of six fields.
    public var isBeta: Bool
}

/// What the first bytes of a connection are. Read again from the start whenever more have come; at most about 1 KiB is
/// ever needed.
public enum MinecraftOpening: Sendable, Equatable {
    /// More is needed.
    case partial
    /// More is needed, or this is a legacy ping if nothing comes for a moment.
    case partialLegacy(MinecraftLegacyPing)
    case legacy(MinecraftLegacyPing)
    /// A login of a client older than 1.7.
    case oldLogin
    case handshake(MinecraftHandshake)
    /// Not Minecraft.
    case malformed

    /// The longest handshake frame taken, without its length.
    public static let handshakeLimit = 1024
    /// Packet id, version, empty host, port, intent.
    private static let handshakeLeast = 6

    /// Tells what `bytes` begin with.
    public static func parse(_ bytes: borrowing Span<UInt8>) -> MinecraftOpening {
        guard bytes.count > 0 else { return .partial }
        if bytes[0] == 0x02 { return .oldLogin }
        // 254 is also how a frame of 254, 382, … bytes starts; the next bytes decide.
        if bytes[0] == 0xfe {
            if bytes.count < 2 { return .partialLegacy(.init(byteCount: 1, hostRange: nil, isBeta: true)) }
            if bytes[1] == 0x01 {
                if bytes.count < 3 { return .partialLegacy(.init(byteCount: 2, hostRange: nil, isBeta: false)) }
                if bytes[2] == 0xfa { return parsePingHost(bytes) }
            }
        }
        return parseHandshake(bytes)
    }

    private static func parseHandshake(_ bytes: borrowing Span<UInt8>) -> MinecraftOpening {
        let body: Range<Int>
        switch MinecraftFrame.firstPacket(bytes, from: 0, least: handshakeLeast, most: handshakeLimit) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .body(let range): body = range
        }
        var at = body.lowerBound
        var version: Int32 = 0
        var length: Int32 = 0
        switch MinecraftFrame.number(bytes, &at, end: body.upperBound) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .value(let value): version = value
        }
        switch MinecraftFrame.number(bytes, &at, end: body.upperBound) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .value(let value): length = value
        }
        // Behind the host there are a port and an intent.
        guard length >= 0, Int(length) <= body.upperBound - at - 3 else { return .malformed }
        let host = at..<(at + Int(length))
        at = host.upperBound + 2
        guard at < bytes.count else { return .partial }
        let port = UInt16(bytes[at - 2]) << 8 | UInt16(bytes[at - 1])
        switch MinecraftFrame.number(bytes, &at, end: body.upperBound) {
        case .partial: return .partial
        case .malformed: return .malformed
        case .value(let value):
            guard let intent = MinecraftHandshake.Intent(rawValue: value), at == body.upperBound else {
                return .malformed
            }
            return .handshake(
                .init(byteCount: at, protocolVersion: version, hostRange: host, port: port, intent: intent))
        }
    }

    /// `fe 01 fa`, the length and text `MC|PingHost` in UTF-16, the length of the rest, version, host, port.
    private static func parsePingHost(_ bytes: borrowing Span<UInt8>) -> MinecraftOpening {
        let channel: StaticString = "MC|PingHost"
        let short = MinecraftLegacyPing(byteCount: min(bytes.count, 3), hostRange: nil, isBeta: false)
        let restAt = 5 + 2 * channel.utf8CodeUnitCount
        for index in 3..<max(3, min(bytes.count, restAt)) {
            let expected: UInt8
            if index == 3 {
                expected = 0
            } else if index == 4 {
                expected = UInt8(channel.utf8CodeUnitCount)
            } else {
                expected = (index - 5) % 2 == 0 ? 0 : unsafe channel.utf8Start[(index - 5) / 2]
            }
            guard bytes[index] == expected else { return .malformed }
        }
        guard bytes.count >= restAt + 5 else { return .partialLegacy(short) }
        let rest = Int(bytes[restAt]) << 8 | Int(bytes[restAt + 1])
        let units = Int(bytes[restAt + 3]) << 8 | Int(bytes[restAt + 4])
        guard units <= 255, rest == 7 + 2 * units else { return .malformed }
        let host = (restAt + 5)..<(restAt + 5 + 2 * units)
        guard bytes.count >= host.upperBound + 4 else { return .partialLegacy(short) }
        return .legacy(.init(byteCount: host.upperBound + 4, hostRange: host, isBeta: false))
    }
}
