import Limits

/// The notations of numbers in the files. Each returns nil for text it does not take.
enum Quantity {
    /// A decimal number without sign, of at most 18 digits.
    static func integer(_ text: some StringProtocol) -> Int? {
        guard (1...18).contains(text.utf8.count), text.utf8.allSatisfy(\.isDigit) else { return nil }
        return Int(text)
    }

    /// Bytes: `256`, `32k`, `1m`, `2g`, in powers of 1024.
    static func bytes(_ text: String) -> Int? {
        let units = ["k": 1 << 10, "m": 1 << 20, "g": 1 << 30]
        guard let last = text.last else { return nil }
        guard let unit = units[last.lowercased()] else { return integer(text) }
        return integer(text.dropLast()).flatMap { product($0, unit) }
    }

    /// Milliseconds: `250ms`, `10s`, `5m`, `12h`, and `0`.
    static func milliseconds(_ text: some StringProtocol) -> Int? {
        if text == "0" { return 0 }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let unit = units[String(text[digits.endIndex...])], let count = integer(digits) else { return nil }
        return product(count, unit)
    }

    /// `100/s`, `1000/10s`, `30/m`.
    static func rate(_ text: String) -> Rate? {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = integer(parts[0]) else { return nil }
        let period = units[String(parts[1])] ?? milliseconds(parts[1])
        guard let period, period > 0 else { return nil }
        return Rate(count: count, perSeconds: Double(period) / 1000)
    }

    /// `50%` as 0.5.
    static func percent(_ text: String) -> Double? {
        guard text.hasSuffix("%"), let value = integer(text.dropLast()), value <= 100 else { return nil }
        return Double(value) / 100
    }

    private static let units = ["ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000]

    private static func product(_ a: Int, _ b: Int) -> Int? {
        let (value, overflow) = a.multipliedReportingOverflow(by: b)
        return overflow ? nil : value
    }
}
