/// A parsed YAML (or JSON) document as one flat array: a route costs a handful of 16-byte nodes while it is read,
/// nothing afterwards. All scalars are text; what they mean is up to who asks. Nodes stand in the order of the file,
/// so a collection's children follow it and end at its `end`.
struct YAMLDocument {
    enum Kind: UInt8 {
        /// A scalar without quotes, which alone may stand for "nothing".
        case plain
        /// A quoted or block scalar.
        case quoted
        /// A list.
        case sequence
        /// Keys and values, alternating; keys are scalars.
        case mapping
    }

    struct Node {
        /// Counted from 1.
        var line: UInt32
        var kind: Kind
        /// Scalar: where its text starts in `text`. Collection: how many children it has.
        var start: UInt32
        /// Scalar: where its text ends. Collection: the index after its last descendant.
        var end: UInt32
    }

    var nodes: [Node] = []
    var text: [UInt8] = []
    /// Collections whose end was not reached; only in a document that failed.
    var unfinished: [Int] = []
    /// Scalars with a variable that could not be filled in; that has been reported, so nothing else need be.
    var unfilled: Set<Int> = []
}

extension YAMLDocument {
    /// The index of the first node; documents are never empty.
    static let root = 0

    func line(_ index: Int) -> Int { Int(nodes[index].line) }
    func kind(_ index: Int) -> Kind { nodes[index].kind }
    func isScalar(_ index: Int) -> Bool { nodes[index].kind == .plain || nodes[index].kind == .quoted }

    /// The bytes of a scalar.
    func bytes(_ index: Int) -> ArraySlice<UInt8> { text[Int(nodes[index].start)..<Int(nodes[index].end)] }

    /// The text of a scalar.
    func string(_ index: Int) -> String { String(decoding: bytes(index), as: UTF8.self) }

    /// Nothing at all, `~` or `null` without quotes: an empty list, mapping or text where one of these is expected.
    func isNothing(_ index: Int) -> Bool {
        guard nodes[index].kind == .plain else { return false }
        let bytes = bytes(index)
        return bytes.isEmpty || bytes.elementsEqual("~".utf8) || bytes.elementsEqual("null".utf8)
    }

    /// The index after a node and all it holds.
    func next(after index: Int) -> Int { isScalar(index) ? index + 1 : Int(nodes[index].end) }

    /// The elements of a list.
    func elements(of index: Int) -> [Int] {
        var children: [Int] = []
        children.reserveCapacity(Int(nodes[index].start))
        var at = index + 1
        while at < Int(nodes[index].end) {
            children.append(at)
            at = next(after: at)
        }
        return children
    }

    /// Calls `body` with the indices of each key and its value. A value always follows its key.
    func forEachPair(of index: Int, _ body: (_ key: Int, _ value: Int) -> Void) {
        var key = index + 1
        while key < Int(nodes[index].end) {
            body(key, key + 1)
            key = next(after: key + 1)
        }
    }

    /// What a node is, for messages.
    func describe(_ index: Int) -> String {
        switch kind(index) {
        case .plain, .quoted: quoted(string(index))
        case .sequence: "a list"
        case .mapping: "a mapping"
        }
    }
}
