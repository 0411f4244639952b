/// A small checker of the Prometheus text format 0.0.4, as strict as `promtool check metrics` about what we write.
struct PrometheusText {
    struct Problem: Error, CustomStringConvertible {
        let line: Int
        let what: String
        var description: String { "line \(line): \(what)" }
    }

    /// Every sample by its name and labels as they stand.
    private(set) var samples: [String: Double] = [:]
    private(set) var types: [String: String] = [:]

    init(_ text: String) throws {
        var (helped, current, number, ended) = (Set<String>(), "", 0, text.hasSuffix("\n"))
        for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
            number += 1
            if line.isEmpty { continue }
            let fail = { (what: String) in Problem(line: number, what: "\(what): \(line)") }
            if line.hasPrefix("# HELP ") {
                let parts = line.split(separator: " ", maxSplits: 3)
                guard parts.count == 4, helped.insert(String(parts[2])).inserted else { throw fail("HELP") }
                current = String(parts[2])
            } else if line.hasPrefix("# TYPE ") {
                let parts = line.split(separator: " ")
                guard parts.count == 4, parts[2] == current, types[current] == nil else { throw fail("TYPE") }
                guard ["counter", "gauge", "histogram"].contains(parts[3]) else { throw fail("type") }
                types[current] = String(parts[3])
            } else {
                let sample = try Self.sample(line).orThrow(fail("sample"))
                guard let type = types[current] else { throw fail("no TYPE before") }
                let suffixes = type == "histogram" ? ["_bucket", "_sum", "_count"] : [""]
                guard suffixes.contains(where: { sample.name == current + $0 }) else { throw fail("foreign sample") }
                guard type != "counter" || sample.name.hasSuffix("_total"), sample.value >= 0 || type == "gauge" else {
                    throw fail("counter")
                }
                guard samples.updateValue(sample.value, forKey: sample.series) == nil else { throw fail("duplicate") }
            }
        }
        ended = ended && !text.hasSuffix("\n\n")
        guard ended else { throw Problem(line: number, what: "the last line must end") }
        try checkHistograms()
    }

    private func checkHistograms() throws {
        for (name, type) in types where type == "histogram" {
            let bounds = samples.keys.filter { $0.hasPrefix(name + "_bucket{") }.map { key -> (Double, Double) in
                let bound = key.split(separator: "\"")[1]
                return (bound == "+Inf" ? .infinity : Double(bound) ?? .nan, samples[key] ?? .nan)
            }.sorted { $0.0 < $1.0 }
            guard bounds.last?.0 == .infinity, samples[name + "_sum"] != nil,
                samples[name + "_count"] == bounds.last?.1, bounds.allSatisfy({ !$0.0.isNaN }),
                zip(bounds, bounds.dropFirst()).allSatisfy({ $0.1 <= $1.1 && $0.0 < $1.0 })
            else { throw Problem(line: 0, what: "histogram \(name)") }
        }
    }

    /// `name{label="value",…} number`.
    private static func sample(_ line: Substring) -> (name: String, series: String, value: Double)? {
        guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]) else {
            return nil
        }
        let series = line[..<space]
        let name = series.prefix { $0 != "{" }
        guard isName(name) else { return nil }
        if name.count == series.count { return (String(name), String(series), value) }
        guard series.last == "}" else { return nil }
        var rest = series[series.index(after: name.endIndex)...].dropLast()
        var seen: Set<Substring> = []
        while !rest.isEmpty {
            let label = rest.prefix { $0 != "=" }
            guard isName(label), !label.contains(":"), seen.insert(label).inserted else { return nil }
            rest = rest.dropFirst(label.count)
            guard rest.hasPrefix("=\"") else { return nil }
            rest = rest.dropFirst(2)
            while let next = rest.first, next != "\"" {
                rest = rest.dropFirst()
                if next == "\\" {
                    guard let escaped = rest.popFirst(), ["\\", "\"", "n"].contains(escaped) else { return nil }
                }
            }
            guard rest.popFirst() == "\"" else { return nil }
            if rest.first == "," {
                rest = rest.dropFirst()
            } else if !rest.isEmpty {
                return nil
            }
        }
        return (String(name), String(series), value)
    }

    private static func isName(_ text: Substring) -> Bool {
        guard let first = text.first, !first.isNumber else { return false }
        return text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") }
    }
}

extension Optional {
    fileprivate func orThrow(_ error: some Error) throws -> Wrapped {
        guard let self else { throw error }
        return self
    }
}
