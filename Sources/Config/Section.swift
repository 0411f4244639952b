import Wire

/// What reading one file needs everywhere: the document and where problems go. Owned by one load, on its thread.
final class Reading {
    let document: YAMLDocument
    let problems: ProblemList

    init(document: YAMLDocument, problems: ProblemList) {
        self.document = document
        self.problems = problems
    }

    func error(_ node: Int, _ message: @autoclosure () -> String) { problems.error(document.line(node), message()) }
    func warning(_ node: Int, _ message: @autoclosure () -> String) { problems.warning(document.line(node), message()) }

    /// The elements of a list; none, and a problem, when it is not one.
    func list(_ node: Int, _ name: String) -> [Int] {
        if document.isNothing(node) || document.unfilled.contains(node) { return [] }
        if document.kind(node) == .sequence { return document.elements(of: node) }
        error(node, "\"\(name)\" must be a list, not \(document.describe(node)); write [a, b] or lines of \"- a\"")
        return []
    }

    /// The text of a scalar; nil, and a problem, for a list or mapping.
    func text(_ node: Int, _ name: String) -> String? {
        if document.unfilled.contains(node) { return nil }
        if document.isScalar(node) { return document.string(node) }
        error(node, "\"\(name)\" must be one value, not \(document.describe(node))")
        return nil
    }
}

/// A mapping that is being read. Every key that is asked for is thereby known; `finish` reports the others.
struct Section {
    let reading: Reading
    /// Dotted, for messages: `limits.headers`; empty for the whole file.
    let path: String
    private var entries: [String: (key: Int, value: Int)] = [:]
    private var asked: [String] = []
    /// False when something else stands where keys and values should; that has been reported.
    private(set) var isMapping = true

    /// An absent or empty node reads as an empty mapping.
    init(_ node: Int?, path: String, reading: Reading) {
        self.reading = reading
        self.path = path
        guard let node, !reading.document.isNothing(node) else { return }
        guard reading.document.kind(node) == .mapping else {
            let place = path.isEmpty ? "the file" : "\"\(path)\""
            reading.error(node, "\(place) must be keys and values, not \(reading.document.describe(node))")
            isMapping = false
            return
        }
        reading.document.forEachPair(of: node) { key, value in
            let name = reading.document.string(key)
            guard let first = entries[name] else {
                entries[name] = (key, value)
                return
            }
            let line = reading.document.line(first.key)
            reading.error(key, "\(quoted(name)) is given twice, first in line \(line); remove one")
        }
    }

    /// The node of a key, which is known from now on.
    mutating func node(_ key: String) -> Int? {
        asked.append(key)
        return entries[key]?.value
    }

    /// Whether a key is given.
    func has(_ key: String) -> Bool { entries[key] != nil }

    /// The mapping below a key.
    mutating func section(_ key: String) -> Section {
        Section(node(key), path: name(of: key), reading: reading)
    }

    /// Reports keys nobody asked for.
    func finish() {
        let unknown = entries.filter { !asked.contains($0.key) }.sorted { $0.value.key < $1.value.key }
        for (name, entry) in unknown {
            reading.error(entry.key, unknownKey(name, in: path, among: asked))
        }
    }

    /// The dotted name of a key, for messages.
    func name(of key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }
}
