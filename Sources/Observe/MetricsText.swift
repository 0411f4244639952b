import Wire

/// Writes the Prometheus text format 0.0.4. Names and label names are literals of ours; label values from the
/// configuration are escaped.
struct MetricsText: ~Copyable {
    var out: ByteBuffer
    private var name: StaticString = ""
    private var hasLabels = false

    init(_ out: consuming ByteBuffer) {
        self.out = out
    }

    /// Gives the buffer back.
    consuming func finish() -> ByteBuffer { out }

    /// `# HELP` and `# TYPE`, once before the samples of a metric. `name` is the whole name.
    mutating func metric(_ name: StaticString, _ type: StaticString, _ help: StaticString) {
        self.name = name
        out.append("# HELP ")
        out.append(name)
        out.append(" ")
        out.append(help)
        out.append("\n# TYPE ")
        out.append(name)
        out.append(" ")
        out.append(type)
        out.append("\n")
    }

    /// Starts a sample; labels and the value follow.
    mutating func sample(suffix: StaticString = "") {
        out.append(name)
        out.append(suffix)
        hasLabels = false
    }

    /// A label whose value is a literal of ours.
    mutating func label(_ name: StaticString, _ value: StaticString) {
        beginLabel(name)
        out.append(value)
        out.append("\"")
    }

    /// A label whose value comes from the configuration.
    mutating func label(_ name: StaticString, text: String) {
        beginLabel(name)
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\\"): out.append("\\\\")
            case UInt8(ascii: "\""): out.append("\\\"")
            case UInt8(ascii: "\n"): out.append("\\n")
            default: out.append(byte)
            }
        }
        out.append("\"")
    }

    /// A label whose value is a number.
    mutating func label(_ name: StaticString, _ value: Int) {
        beginLabel(name)
        out.append(decimal: UInt64(clamping: value))
        out.append("\"")
    }

    private mutating func beginLabel(_ name: StaticString) {
        out.append(hasLabels ? "," : "{")
        hasLabels = true
        out.append(name)
        out.append("=\"")
    }

    /// The value of the sample, and its end.
    mutating func value(_ value: UInt64) {
        beginValue()
        out.append(decimal: value)
        out.append("\n")
    }

    /// A value that may be negative.
    mutating func value(signed value: Int64) {
        beginValue()
        if value < 0 { out.append("-") }
        out.append(decimal: value.magnitude)
        out.append("\n")
    }

    /// Microseconds as seconds.
    mutating func value(microseconds: UInt64) {
        beginValue()
        out.append(seconds: microseconds)
        out.append("\n")
    }

    private mutating func beginValue() {
        out.append(hasLabels ? "} " : " ")
    }

    /// A bucket's bound.
    mutating func bound(_ microseconds: UInt64) {
        beginLabel("le")
        if microseconds == .max { out.append("+Inf") } else { out.append(seconds: microseconds) }
        out.append("\"")
    }
}

extension ByteBuffer {
    /// Microseconds as seconds, without zeros at the end: `0.0005`, `1`, `2.5`.
    fileprivate mutating func append(seconds microseconds: UInt64) {
        append(decimal: microseconds / 1_000_000)
        var rest = microseconds % 1_000_000
        if rest == 0 { return }
        var digits = 6
        while rest % 10 == 0 {
            rest /= 10
            digits -= 1
        }
        append(UInt8(ascii: "."))
        append(rest, digits: digits)
    }
}
