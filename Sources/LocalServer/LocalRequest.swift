import Wire

/// One request, as its handler sees it. It lives on its connection's thread, while the handler runs.
public struct LocalRequest {
    /// As received, upper case by convention.
    public let method: String
    /// The path, raw: percent-escapes are as they came.
    public let path: String
    /// What follows the `?`, raw; `nil` without one.
    public let query: String?
    /// The fields in their order, names as received.
    public let headers: [(name: String, value: String)]
    /// The body; without one it is at its end from the start.
    public let body: LocalBody
    let isWebSocketUpgrade: Bool

    /// The value of the first field of that name, whatever its case.
    public func header(_ name: String) -> String? {
        let wanted = name.lowercased()
        return headers.first { $0.name.lowercased() == wanted }?.value
    }

    /// Whether a comma-separated field, in any of its lines, lists `token`, whatever its case.
    public func header(_ name: String, lists token: String) -> Bool {
        let wanted = name.lowercased()
        return headers.contains { field in
            field.name.lowercased() == wanted
                && field.value.split(separator: ",").contains { trimmed($0).lowercased() == token }
        }
    }

    /// The first value of a query parameter, with percent-escapes and `+` decoded; `nil` when it is missing.
    public func parameter(_ name: String) -> String? {
        for pair in (query ?? "").split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if Self.decode(parts[0]) == name { return parts.count > 1 ? Self.decode(parts[1]) : "" }
        }
        return nil
    }

    /// A query parameter as a number within `range`; `fallback` when it is missing or no such number.
    public func parameter<Number: FixedWidthInteger>(
        _ name: String, in range: ClosedRange<Number>, else fallback: Number
    ) -> Number {
        guard let value = parameter(name).flatMap({ Number($0) }), range.contains(value) else { return fallback }
        return value
    }

    private static func decode(_ text: Substring) -> String {
        var output = ByteBuffer()
        guard PercentCoding.decode(Array(text.utf8).span, plusAsSpace: true, into: &output) else { return String(text) }
        return output.withReadable { bytes in
            String(decoding: (0..<bytes.count).map { bytes[$0] }, as: UTF8.self)
        }
    }

    private func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}
