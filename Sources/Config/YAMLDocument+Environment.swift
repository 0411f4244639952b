extension YAMLDocument {
    /// Replaces `${NAME}` and `${NAME:-default}` in every value by what the environment holds, and `$${` by `${`. The
    /// result stays one scalar whatever it contains, so a variable can never add a key.
    mutating func expandEnvironment(_ environment: [String: String], problems: ProblemList) {
        for index in nodes.indices where isScalar(index) && bytes(index).contains(UInt8(ascii: "$")) {
            let before = string(index)
            var failures: [String] = []
            let after = Self.expand(before, environment) { failures.append($0) }
            for failure in failures { problems.error(line(index), failure) }
            if !failures.isEmpty { unfilled.insert(index) }
            guard failures.isEmpty, after != before else { continue }
            guard text.count + after.utf8.count <= Int(UInt32.max) else {
                problems.error(line(index), "the value is too long")
                return
            }
            nodes[index].start = UInt32(text.count)
            text.append(contentsOf: after.utf8)
            nodes[index].end = UInt32(text.count)
        }
    }

    /// A value with its variables filled in.
    static func expand(_ text: String, _ environment: [String: String], report: (String) -> Void) -> String {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let dollar = rest.firstIndex(of: UInt8(ascii: "$")) {
            result += rest[..<dollar]
            rest = rest[dollar...]
            if rest.starts(with: "$${".utf8) {
                result += "${".utf8
                rest = rest.dropFirst(3)
            } else if rest.starts(with: "${".utf8) {
                guard let close = rest.firstIndex(of: UInt8(ascii: "}")) else {
                    report("\"${\" without \"}\" in \(quoted(text)); write $${ for a literal ${")
                    break
                }
                let reference = String(decoding: rest[(dollar + 2)..<close], as: UTF8.self)
                result += value(of: reference, environment, report).utf8
                rest = rest[(close + 1)...]
            } else {
                result.append(UInt8(ascii: "$"))
                rest = rest.dropFirst()
            }
        }
        return String(decoding: result + rest, as: UTF8.self)
    }

    /// As in a shell, an empty variable takes its default too.
    private static func value(
        of reference: String, _ environment: [String: String], _ report: (String) -> Void
    ) -> String {
        let colon = reference.utf8.firstIndex(of: UInt8(ascii: ":")) ?? reference.endIndex
        let name = String(reference[..<colon])
        let isName = !name.isEmpty && name.utf8.allSatisfy(\.isNameByte) && !name.utf8.first!.isDigit
        let fallback = reference[colon...]
        guard isName, fallback.isEmpty || fallback.hasPrefix(":-") else {
            report("${\(reference)} is not ${NAME} or ${NAME:-default}; write $${ for a literal ${")
            return ""
        }
        if fallback.isEmpty {
            if let value = environment[name] { return value }
            report("the environment variable \(name) is not set; set it, or write ${\(name):-default}")
            return ""
        }
        guard let value = environment[name], !value.isEmpty else { return String(fallback.dropFirst(2)) }
        return value
    }
}

extension UInt8 {
    var isDigit: Bool { (0x30...0x39).contains(self) }
    fileprivate var isNameByte: Bool {
        isDigit || (0x41...0x5a).contains(self) || (0x61...0x7a).contains(self) || self == UInt8(ascii: "_")
    }
}
