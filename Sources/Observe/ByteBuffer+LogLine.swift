public import Wire

/// A log line is one JSON object, written straight into a loop's own buffer:
///
///     lines.beginLog(.info, "request", epochMs: now)
///     lines.field("path", path)
///     lines.endLog()
///
/// Names and events are literals of ours; every value from outside is escaped. The buffer goes to the `LogSink` at the
/// end of the loop's turn.
extension ByteBuffer {
    /// Bytes of one value that are logged at most: a 32 KiB path is not worth 32 KiB of every line.
    public static var logFieldBytes: Int { 2048 }

    /// Starts a line. `epochMs` is wall-clock time in milliseconds.
    public mutating func beginLog(_ level: LogLevel, _ event: StaticString, epochMs: Int64) {
        append("{\"ts\":\"")
        RFC3339.append(epochMilliseconds: epochMs, to: &self)
        append("\",\"level\":\"")
        append(level.label)
        append("\",\"event\":\"")
        append(event)
        append("\"")
    }

    /// Ends the line.
    public mutating func endLog() {
        append("}\n")
    }

    /// A value of bytes from anywhere.
    public mutating func field(_ name: StaticString, _ value: borrowing Span<UInt8>) {
        beginField(name)
        append(UInt8(ascii: "\""))
        append(escaping: value, limit: Self.logFieldBytes)
        append(UInt8(ascii: "\""))
    }

    /// A value of `bytes[range]`.
    public mutating func field(_ name: StaticString, _ bytes: borrowing Span<UInt8>, _ range: Range<Int>) {
        field(name, bytes.extracting(range))
    }

    /// A literal of ours, written as it is.
    public mutating func field(_ name: StaticString, _ value: StaticString) {
        beginField(name)
        append(UInt8(ascii: "\""))
        append(value)
        append(UInt8(ascii: "\""))
    }

    /// A text from anywhere.
    public mutating func field(_ name: StaticString, text: String) {
        field(name, text.utf8Span.span)
    }

    /// A number.
    public mutating func field(_ name: StaticString, _ value: Int) {
        beginField(name)
        if value < 0 { append(UInt8(ascii: "-")) }
        append(decimal: UInt64(value.magnitude))
    }

    /// A number.
    public mutating func field(_ name: StaticString, _ value: UInt64) {
        beginField(name)
        append(decimal: value)
    }

    /// Microseconds, written as milliseconds with three decimals.
    public mutating func field(_ name: StaticString, microseconds: Int64) {
        beginField(name)
        append(thousandths: microseconds)
    }

    /// `true` or `false`.
    public mutating func field(_ name: StaticString, _ value: Bool) {
        beginField(name)
        append(value ? "true" : "false")
    }

    /// 128 bits as 32 hex digits: a request id.
    public mutating func field(_ name: StaticString, hex high: UInt64, _ low: UInt64) {
        beginField(name)
        append(UInt8(ascii: "\""))
        append(hex16: high)
        append(hex16: low)
        append(UInt8(ascii: "\""))
    }

    /// An address.
    public mutating func field(_ name: StaticString, _ value: IPAddress) {
        beginField(name)
        append(UInt8(ascii: "\""))
        append(address: value)
        append(UInt8(ascii: "\""))
    }

    private mutating func beginField(_ name: StaticString) {
        append(",\"")
        append(name)
        append("\":")
    }

    /// `thousandths / 1000` with three decimals.
    mutating func append(thousandths: Int64) {
        if thousandths < 0 { append(UInt8(ascii: "-")) }
        append(decimal: thousandths.magnitude / 1000)
        append(UInt8(ascii: "."))
        append(thousandths.magnitude % 1000, digits: 3)
    }

    /// `value` in decimal with leading zeros.
    mutating func append(_ value: UInt64, digits: Int) {
        var limit: UInt64 = 1
        for _ in 1..<max(digits, 2) { limit *= 10 }
        if digits < 2 { limit = 1 }
        while limit > 1, value < limit {
            append(UInt8(ascii: "0"))
            limit /= 10
        }
        append(decimal: value)
    }
}
