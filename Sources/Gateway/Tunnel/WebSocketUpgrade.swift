import Wire

extension Exchange {
    /// Whether a 101 is the one we asked for (RFC 6455 section 4.1): not a single client byte passes before it is.
    func checkUpgrade(_ head: ResponseHead, _ bytes: borrowing Span<UInt8>) throws(GatewayFailure) {
        let fields = worker.fields
        guard isUpgrade else { throw .badGateway("It switched protocols unasked.") }
        // HTTP/1.0 knows no upgrade (RFC 9110 section 7.8).
        guard head.minorVersion >= 1, let upgrade = fields.first(.upgrade), !fields.repeats(.upgrade),
            HTTPSpan.equalsIgnoringCase(bytes.extracting(upgrade.valueRange), "websocket"),
            connectionListsUpgrade(bytes, fields),
            let accept = fields.first(.secWebSocketAccept), !fields.repeats(.secWebSocketAccept),
            expectedAccept.withReadable({ HTTPSpan.equal($0, bytes.extracting(accept.valueRange)) })
        else { throw .badGateway("Its WebSocket handshake is not valid.") }
    }

    /// `Connection` may come as one list or as several fields.
    private func connectionListsUpgrade(_ bytes: borrowing Span<UInt8>, _ fields: HeadFields) -> Bool {
        for index in 0..<fields.count where fields[index].name == .connection {
            if ListHeader.contains("upgrade", in: bytes.extracting(fields[index].valueRange)) { return true }
        }
        return false
    }
}
