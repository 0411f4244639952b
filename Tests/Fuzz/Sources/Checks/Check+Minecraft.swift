import Wire

extension Check {
    /// A connection's first packets mean the same however they are split.
    static func minecraft(_ bytes: [UInt8]) {
        agreed(bytes, from: ()) { span, _ in opening(span) }
    }

    private static func opening(_ bytes: Span<UInt8>) -> String? {
        switch MinecraftOpening.parse(bytes) {
        case .partial, .partialLegacy: return nil
        case .malformed: return "malformed"
        case .oldLogin: return "old"
        case .legacy(let ping):
            precondition(ping.byteCount <= bytes.count)
            if let range = ping.hostRange { _ = MinecraftHost.readUTF16(bytes, range) }
            return "legacy \(ping.byteCount)"
        case .handshake(let found):
            precondition(found.byteCount <= bytes.count && found.hostRange.upperBound + 3 <= found.byteCount)
            let host = MinecraftHost.read(bytes, found.hostRange)
            if case .name(let name) = host { precondition(!name.isEmpty && name.utf8.count <= 253) }
            if found.intent == .status {
                _ = MinecraftStatusRequest.parse(bytes, from: found.byteCount)
            } else if case .complete(let start) = MinecraftLoginStart.parse(bytes, from: found.byteCount) {
                precondition(start.end <= bytes.count && start.nameRange.upperBound <= start.end)
            }
            return "\(found.byteCount) \(found.intent) \(found.protocolVersion) \(host)"
        }
    }

    /// A server's answer changes only where it is meant to, and nothing in it traps.
    static func minecraftStatus(_ bytes: [UInt8]) {
        if case .complete(let range) = MinecraftStatusResponse.parse(bytes.span) {
            precondition(range.upperBound <= bytes.count)
        }
        guard let status = MinecraftStatus(bytes.span) else { return }
        var same = ByteBuffer()
        status.append(bytes.span, to: &same)
        precondition(same.withReadable { $0.copied() } == bytes)
        var changed = ByteBuffer()
        status.append(bytes.span, protocolVersion: -1, description: "{}", to: &changed)
        _ = status.plainText(bytes.span, status.descriptionRange)
        _ = status.plainText(bytes.span, status.versionNameRange)
        _ = status.number(bytes.span, status.onlineRange)
    }

    /// A header means the same however it is split, and is never longer than what is there.
    static func proxyHeader(_ bytes: [UInt8]) {
        agreed(bytes, from: ()) { span, _ in
            let outcome = ProxyHeader.parse(span)
            if outcome == .partial { return nil }
            if case .complete(let length, _) = outcome { precondition(length <= span.count) }
            return "\(outcome)"
        }
    }
}
