/// What the gateway says to clients and servers in Minecraft's own packets.
public enum MinecraftReply {
    /// A Login Disconnect: id 0 and a chat component as JSON, in every version from 1.7 on.
    public static func appendLoginDisconnect(json: String, to out: inout ByteBuffer) {
        appendText(json.utf8Span.span, to: &out)
    }

    /// A status answer.
    public static func appendStatus(json: borrowing Span<UInt8>, to out: inout ByteBuffer) {
        appendText(json, to: &out)
    }

    /// A pong: the eight bytes of the ping as they came.
    public static func appendPong(_ bytes: borrowing Span<UInt8>, _ payload: Range<Int>, to out: inout ByteBuffer) {
        out.append(varInt: Int32(truncatingIfNeeded: payload.count + 1))
        out.append(1)
        out.append(bytes, payload)
    }

    /// The kick packet by which clients before 1.7 are answered, pings and logins alike.
    public static func appendLegacyKick(_ text: String, to out: inout ByteBuffer) {
        let units = Array(text.utf16.prefix(256))
        out.append(0xff)
        out.append(bigEndian: UInt16(units.count))
        for unit in units { out.append(bigEndian: unit) }
    }

    /// The answer to a legacy ping.
    public static func appendLegacyStatus(
        _ ping: MinecraftLegacyPing, version: String, motd: String, online: Int, maximum: Int, to out: inout ByteBuffer
    ) {
        let line = String(motd.prefix(200).map { $0.isNewline || $0 == "\0" ? " " : $0 })
        if ping.isBeta {
            let plain = String(line.filter { $0 != "§" })
            appendLegacyKick("\(plain)§\(online)§\(maximum)", to: &out)
        } else {
            let name = String(version.prefix(32).filter { $0 != "\0" })
            appendLegacyKick("§1\u{0}127\u{0}\(name)\u{0}\(line)\u{0}\(online)\u{0}\(maximum)", to: &out)
        }
    }

    /// A handshake for a status, and the request.
    public static func appendStatusRequest(
        protocolVersion: Int32, host: String, port: UInt16, to out: inout ByteBuffer
    ) {
        var body = ByteBuffer(capacity: 300)
        body.append(0)
        body.append(varInt: protocolVersion)
        body.append(varInt: Int32(truncatingIfNeeded: host.utf8.count))
        body.append(text: host)
        body.append(bigEndian: port)
        body.append(varInt: MinecraftHandshake.Intent.status.rawValue)
        out.append(varInt: Int32(truncatingIfNeeded: body.count))
        body.withReadable { out.append($0) }
        out.append(1)
        out.append(0)
    }

    /// Plain text as a chat component.
    public static func component(_ text: String) -> String {
        var json = ByteBuffer(capacity: 64)
        json.append("{\"text\":")
        json.append(quoting: text)
        json.append(UInt8(ascii: "}"))
        return json.withReadable { $0.text() }
    }

    private static func appendText(_ text: borrowing Span<UInt8>, to out: inout ByteBuffer) {
        let length = Int32(truncatingIfNeeded: text.count)
        var prefix = ByteBuffer(capacity: 8)
        prefix.append(0)
        prefix.append(varInt: length)
        out.append(varInt: Int32(truncatingIfNeeded: prefix.count + text.count))
        prefix.withReadable { out.append($0) }
        out.append(text)
    }
}
