import Wire

/// The server's half of the opening handshake (RFC 6455 section 4.2.2).
enum WebSocketHandshake {
    /// The value of `Sec-WebSocket-Accept`, or the refusal.
    static func accept(_ request: LocalRequest) throws(LocalError) -> String {
        guard request.header("upgrade", lists: "websocket") else {
            throw .refused(status: 426, reason: "this is a WebSocket")
        }
        guard request.header("sec-websocket-version") == "13" else {
            throw .refused(status: 426, reason: "WebSocket version 13, please")
        }
        guard request.isWebSocketUpgrade, let key = request.header("sec-websocket-key") else {
            throw .refused(status: 400, reason: "malformed WebSocket handshake")
        }
        return acceptValue(for: key)
    }

    /// Section 1.3.
    static func acceptValue(for key: String) -> String {
        let digest = SHA1.digest(Array("\(key)\(WebSocket.guid)".utf8))
        var output = ByteBuffer(capacity: 32)
        Base64.encode(digest.span, into: &output)
        return output.withReadable { bytes in
            String(decoding: (0..<bytes.count).map { bytes[$0] }, as: UTF8.self)
        }
    }
}

/// SHA-1 (FIPS 180-4) for the handshake alone, where it proves nothing but that the server speaks WebSocket.
enum SHA1 {
    static func digest(_ message: [UInt8]) -> [UInt8] {
        var padded = message + [0x80]
        while padded.count % 64 != 56 { padded.append(0) }
        for shift in stride(from: UInt64(56), through: 0, by: -8) {
            padded.append(UInt8(truncatingIfNeeded: (UInt64(message.count) * 8) >> shift))
        }
        var state: [UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
        for start in stride(from: 0, to: padded.count, by: 64) { compress(padded[start..<start + 64], &state) }
        return state.flatMap { word in
            stride(from: UInt32(24), through: 0, by: -8).map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }

    private static func compress(_ block: ArraySlice<UInt8>, _ state: inout [UInt32]) {
        var w: [UInt32] = []
        for at in stride(from: block.startIndex, to: block.endIndex, by: 4) {
            w.append(block[at..<at + 4].reduce(0) { $0 << 8 | UInt32($1) })
        }
        for t in 16..<80 { w.append(rotate(w[t - 3] ^ w[t - 8] ^ w[t - 14] ^ w[t - 16], 1)) }
        var (a, b, c, d, e) = (state[0], state[1], state[2], state[3], state[4])
        for t in 0..<80 {
            let (f, k): (UInt32, UInt32) =
                switch t {
                case ..<20: ((b & c) | (~b & d), 0x5a82_7999)
                case ..<40: (b ^ c ^ d, 0x6ed9_eba1)
                case ..<60: ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc)
                default: (b ^ c ^ d, 0xca62_c1d6)
                }
            let next = rotate(a, 5) &+ f &+ e &+ k &+ w[t]
            (e, d, c, b, a) = (d, c, rotate(b, 30), a, next)
        }
        for (index, value) in [a, b, c, d, e].enumerated() { state[index] &+= value }
    }

    private static func rotate(_ value: UInt32, _ count: UInt32) -> UInt32 {
        value << count | value >> (32 - count)
    }
}
