import Wire

/// A request's head in plain Swift values: what arrives here is little, so strings cost nothing worth saving.
struct LocalHead {
    let method: String
    let path: String
    let query: String?
    let headers: [(name: String, value: String)]
    let framing: BodyFraming
    let isHTTP10: Bool
    let keepsAlive: Bool
    let expectsContinue: Bool
    let isWebSocketUpgrade: Bool

    /// Parses the head at the front of `input`: `nil` while it is incomplete. Throws the refusal it deserves.
    static func parse(
        _ input: borrowing ByteBuffer, scan: inout HeadScan, into fields: HeadFields, limits: LocalLimits
    ) throws(LocalError) -> (head: LocalHead, consumed: Int)? {
        var bounds = HeadLimits(bytes: limits.headBytes, fields: limits.headFields)
        bounds.requiresHost = limits.requiresHost
        return try input.withReadable { (bytes: borrowing Span<UInt8>) throws(LocalError) in
            switch HTTP1.parseRequestHead(bytes, scan: &scan, into: fields, limits: bounds) {
            case .partial: return nil
            case .malformed(let defect): throw .refused(status: defect.status, reason: "\(defect.reason)")
            case .complete(let head): return (try LocalHead(head, bytes, fields), head.byteCount)
            }
        }
    }

    private init(_ head: RequestHead, _ bytes: borrowing Span<UInt8>, _ fields: HeadFields) throws(LocalError) {
        guard head.form == .origin || head.form == .absolute else {
            throw .refused(status: 400, reason: "target is not a path")
        }
        method = Self.text(bytes, head.methodRange)
        path = Self.text(bytes, head.pathRange)
        query = head.queryRange.map { Self.text(bytes, $0) }
        var headers: [(name: String, value: String)] = []
        for index in 0..<fields.count {
            let field = fields[index]
            headers.append((Self.text(bytes, field.nameRange), Self.text(bytes, field.valueRange)))
        }
        self.headers = headers
        framing = head.framing
        isHTTP10 = head.minorVersion == 0
        keepsAlive = head.keepAlive
        expectsContinue = head.expectContinue
        isWebSocketUpgrade = head.isWebSocketUpgrade
    }

    private static func text(_ bytes: borrowing Span<UInt8>, _ range: Range<Int>) -> String {
        var copy: [UInt8] = []
        copy.reserveCapacity(range.count)
        for at in range { copy.append(bytes[at]) }
        return String(decoding: copy, as: UTF8.self)
    }
}
