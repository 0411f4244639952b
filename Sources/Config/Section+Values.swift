import Limits
import Wire

/// Each of these leaves `target`, the default, as it is when the key is absent or its value is refused.
extension Section {
    /// Text as it stands, quotes or not.
    mutating func text(_ key: String, _ target: inout String) {
        guard let node = node(key), let text = reading.text(node, name(of: key)) else { return }
        target = text
    }

    /// Text that `parse` takes; `expected` completes "… is not".
    mutating func parsed<T>(_ key: String, _ target: inout T, _ expected: String, _ parse: (String) -> T?) {
        guard let node = node(key), let text = reading.text(node, name(of: key)) else { return }
        if let value = parse(text) {
            target = value
        } else {
            reading.error(node, "\"\(name(of: key))\": \(quoted(text)) is not \(expected)")
        }
    }

    /// A list whose elements `parse` takes.
    mutating func list<T>(_ key: String, _ target: inout [T], _ expected: String, _ parse: (String) -> T?) {
        guard let node = node(key) else { return }
        target = reading.list(node, name(of: key)).compactMap { element in
            guard let text = reading.text(element, name(of: key)) else { return nil }
            if let value = parse(text) { return value }
            reading.error(element, "\"\(name(of: key))\": \(quoted(text)) is not \(expected)")
            return nil
        }
    }

    /// One of the words of an enumeration.
    mutating func word<T: RawRepresentable<String> & CaseIterable>(_ key: String, _ target: inout T) {
        let words = T.allCases.map(\.rawValue)
        parsed(key, &target, "one of \(words.joined(separator: ", "))") { T(rawValue: $0) }
    }

    /// `true` or `false`.
    mutating func flag(_ key: String, _ target: inout Bool) {
        parsed(key, &target, "true or false") { ["true": true, "yes": true, "false": false, "no": false][$0] }
    }

    /// A count.
    mutating func integer(_ key: String, _ target: inout Int, _ range: ClosedRange<Int>) {
        parsed(key, &target, "a whole number from \(range.lowerBound) to \(range.upperBound)") {
            Quantity.integer($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// Bytes.
    mutating func size(_ key: String, _ target: inout Int, _ range: ClosedRange<Int>) {
        let bounds = "\(Self.sizeText(range.lowerBound)) to \(Self.sizeText(range.upperBound))"
        parsed(key, &target, "a size such as 64k or 1m, from \(bounds)") {
            Quantity.bytes($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A time, in milliseconds.
    mutating func milliseconds(_ key: String, _ target: inout Int, _ range: ClosedRange<Int> = 1...Self.longestMs) {
        let bounds = "\(Self.timeText(range.lowerBound)) to \(Self.timeText(range.upperBound))"
        parsed(key, &target, "a time such as 500ms, 10s, 5m or 2h, from \(bounds)") {
            Quantity.milliseconds($0).flatMap { range.contains($0) ? $0 : nil }
        }
    }

    /// A time in whole seconds.
    mutating func seconds(_ key: String, _ target: inout Int64, _ range: ClosedRange<Int>) {
        let bounds = "\(Self.timeText(range.lowerBound * 1000)) to \(Self.timeText(range.upperBound * 1000))"
        parsed(key, &target, "a time in whole seconds such as 30s, 5m or 12h, from \(bounds)") {
            guard let value = Quantity.milliseconds($0), value % 1000 == 0, range.contains(value / 1000) else {
                return nil
            }
            return Int64(value / 1000)
        }
    }

    /// How often something may happen.
    mutating func rate(_ key: String, _ target: inout Rate) {
        parsed(key, &target, "a rate such as 100/s, 30/m or 1000/10s, from 1 to 1000000 in at most 1h") {
            Quantity.rate($0).flatMap { (1...1_000_000).contains($0.count) && $0.perSeconds <= 3600 ? $0 : nil }
        }
    }

    /// A year and a day: longer is a slip of the pen.
    static var longestMs: Int { 366 * 24 * 3_600_000 }

    private static func sizeText(_ bytes: Int) -> String {
        for (unit, shift) in [("g", 30), ("m", 20), ("k", 10)] where bytes >> shift > 0 && bytes % (1 << shift) == 0 {
            return "\(bytes >> shift)\(unit)"
        }
        return "\(bytes)"
    }

    private static func timeText(_ ms: Int) -> String {
        for (unit, length) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] where ms > 0 && ms % length == 0 {
            return "\(ms / length)\(unit)"
        }
        return ms == 0 ? "0" : "\(ms)ms"
    }
}
