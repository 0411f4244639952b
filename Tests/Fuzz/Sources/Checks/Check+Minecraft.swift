import Wire

extension Check {
    /// A connection's first packets mean the same however they are split.
    static func minecraft(_ bytes: [UInt8]) {
        var verdicts: Set<String> = []
        for schedule in schedules(bytes) {
            var verdict = "partial"
            for count in schedule where verdict == "partial" {
                verdict = opening(bytes.span.extracting(0..<count))
            }
            verdicts.insert(verdict)
        }
        precondition(verdicts.count == 1, "it matters how the bytes are split: \(verdicts)")
    }

    private static func opening(_ bytes: Span<UInt8>) -> String {
        switch MinecraftOpening.parse(bytes) {
        case .partial, .partialLegacy: return "partial"
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
        var verdicts: Set<String> = []
        for schedule in schedules(bytes) {
            var verdict = ProxyHeader.Outcome.partial
            for count in schedule where verdict == .partial {
                verdict = ProxyHeader.parse(bytes.span.extracting(0..<count))
                if case .complete(let length, _) = verdict { precondition(length <= count) }
            }
            verdicts.insert("\(verdict)")
        }
        precondition(verdicts.count == 1, "it matters how the bytes are split: \(verdicts)")
    }
}
