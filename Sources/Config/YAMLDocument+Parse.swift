import CYAML

extension YAMLDocument {
    /// Documents hold 100 000 routes in 600 000 nodes; this is the bound on memory for hostile ones.
    static let mostNodes = 4_000_000
    /// Nothing of ours nests deeper than six.
    static let deepest = 32

    /// A document, or as much of it as could be read and why no more.
    static func parse(_ input: [UInt8]) -> (document: YAMLDocument, failure: (line: Int, message: String)?) {
        var builder = YAMLBuilder()
        builder.document.text.reserveCapacity(input.count)
        let failure = unsafe input.withUnsafeBufferPointer { bytes in unsafe builder.readEvents(of: bytes) }
        guard let failure else { return (builder.document, nil) }
        builder.closeWhatIsOpen()
        // The parser puts the end of the file on a line of its own.
        let line = min(failure.line, max(1, input.count { $0 == 0x0a } + (input.last == 0x0a ? 0 : 1)))
        return (builder.document, (line, failure.message + hint(for: lineText(line, of: input))))
    }

    /// What people stumble over, told from the line the parser stumbled at.
    private static func hint(for line: String) -> String {
        if line.first == "\t" || line.contains(" \t") { return "; indent with spaces, not tabs" }
        if line.contains("${") { return "; put quotes around a value with ${NAME} inside [ ] or { }" }
        if line.contains(" ::") || line.contains("[::") || line.contains("::,") || line.contains(":: ") {
            return "; put quotes around an IPv6 address inside [ ] or { }"
        }
        return ""
    }

    private static func lineText(_ number: Int, of input: [UInt8]) -> String {
        var start = 0
        for _ in 1..<max(number, 1) {
            guard let end = input[start...].firstIndex(of: 0x0a) else { break }
            start = end + 1
        }
        return String(decoding: input[start...].prefix { $0 != 0x0a }.prefix(400), as: UTF8.self)
    }
}

/// Turns libyaml's events into nodes. Lives for one parse.
private struct YAMLBuilder {
    typealias Failure = (line: Int, message: String)

    var document = YAMLDocument()
    /// The collections that are open.
    var open: [Int] = []
    var isComplete = false

    /// Reads to the end of the stream, or to the first thing we do not take.
    mutating func readEvents(of bytes: UnsafeBufferPointer<UInt8>) -> Failure? {
        if bytes.isEmpty { return (1, "the file is empty") }
        var parser = unsafe yaml_parser_t()
        guard unsafe yaml_parser_initialize(&parser) == 1 else { return (1, "out of memory") }
        defer { unsafe yaml_parser_delete(&parser) }
        unsafe yaml_parser_set_input_string(&parser, bytes.baseAddress, bytes.count)
        while true {
            var event = unsafe yaml_event_t()
            guard unsafe yaml_parser_parse(&parser, &event) == 1 else {
                return unsafe Self.failure(of: parser, in: bytes)
            }
            let isEnd = unsafe event.type == YAML_STREAM_END_EVENT
            let failure = unsafe take(event)
            unsafe yaml_event_delete(&event)
            if let failure { return failure }
            if isEnd { return document.nodes.isEmpty ? (1, "the file is empty") : nil }
        }
    }

    /// After a failure: what was read so far becomes a well-formed tree, and what was cut is remembered.
    mutating func closeWhatIsOpen() {
        document.unfinished = open
        if let last = open.last, document.nodes[last].kind == .mapping, document.nodes[last].start & 1 == 1 {
            document.nodes[last].start += 1
            document.nodes.append(.init(line: document.nodes[last].line, kind: .plain, start: 0, end: 0))
        }
        for index in open { document.nodes[index].end = UInt32(document.nodes.count) }
    }

    private mutating func take(_ event: yaml_event_t) -> Failure? {
        let line = unsafe event.start_mark.line + 1
        switch unsafe event.type {
        case YAML_DOCUMENT_START_EVENT:
            return isComplete ? (line, "a second document starts here; a file holds only one") : nil
        case YAML_DOCUMENT_END_EVENT:
            isComplete = true
            return nil
        case YAML_ALIAS_EVENT:
            return (line, "aliases (*name) are not taken; write the value out")
        case YAML_SCALAR_EVENT:
            let scalar = unsafe event.data.scalar
            let isPlain = unsafe scalar.style == YAML_PLAIN_SCALAR_STYLE
            let isTagged = unsafe scalar.tag != nil && scalar.plain_implicit == 0 && scalar.quoted_implicit == 0
            let start = document.text.count
            unsafe document.text.append(contentsOf: UnsafeBufferPointer(start: scalar.value, count: scalar.length))
            return append(
                isPlain ? .plain : .quoted, line, isTagged, start: start, end: document.text.count)
        case YAML_SEQUENCE_START_EVENT:
            return unsafe append(.sequence, line, event.data.sequence_start.implicit == 0)
        case YAML_MAPPING_START_EVENT:
            return unsafe append(.mapping, line, event.data.mapping_start.implicit == 0)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            if let index = open.popLast() { document.nodes[index].end = UInt32(document.nodes.count) }
            return nil
        default:
            return nil
        }
    }

    private mutating func append(
        _ kind: YAMLDocument.Kind, _ line: Int, _ isTagged: Bool, start: Int = 0, end: Int = 0
    ) -> Failure? {
        if isTagged { return (line, "tags (!name) are not taken; all values are text here") }
        guard document.nodes.count < YAMLDocument.mostNodes else { return (line, "the file holds too many values") }
        let isCollection = kind == .sequence || kind == .mapping
        if let parent = open.last {
            let isKey = document.nodes[parent].kind == .mapping && document.nodes[parent].start & 1 == 0
            if isKey, isCollection { return (line, "a key must be text, not a list or mapping") }
            document.nodes[parent].start += 1
        }
        document.nodes.append(
            .init(line: UInt32(clamping: line), kind: kind, start: UInt32(start), end: UInt32(end)))
        if isCollection {
            guard open.count < YAMLDocument.deepest else { return (line, "nested too deeply") }
            open.append(document.nodes.count - 1)
        }
        return nil
    }

    private static func failure(of parser: yaml_parser_t, in bytes: UnsafeBufferPointer<UInt8>) -> Failure {
        let problem = unsafe parser.problem.map { unsafe String(cString: $0) } ?? "out of memory"
        guard unsafe parser.error != YAML_READER_ERROR else {
            // The reader runs ahead of the parser and knows bytes, not lines.
            let before = unsafe bytes.prefix(parser.problem_offset)
            return (unsafe before.count { $0 == 0x0a } + 1, "not valid YAML: \(problem); save the file as UTF-8")
        }
        let line = unsafe parser.problem_mark.line + 1
        guard let context = unsafe parser.context.map({ unsafe String(cString: $0) }) else {
            return (line, "not valid YAML: \(problem)")
        }
        let start = unsafe parser.context_mark.line + 1
        return (line, "not valid YAML: \(context)\(start < line ? " from line \(start)" : ""), \(problem)")
    }
}
