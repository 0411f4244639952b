/// Every declaration and every use of a name in the code, comments and the texts of strings left out.
struct Declarations {
    /// The word before the name.
    enum Kind: String {
        case type, function, variable, enumCase
    }

    struct Place {
        let name: String
        let kind: Kind
        let path: String
        let line: Int
        /// Its use is not to be seen: it overrides, or is what a protocol of somebody else's asks for.
        let isOverride: Bool
    }

    private(set) var places: [Place] = []
    private(set) var uses: [String: Int] = [:]

    init(of files: [SourceTree.File]) {
        for file in files {
            for (index, line) in file.lines.enumerated() { note(line, file.path, index + 1) }
        }
    }

    private mutating func note(_ line: Substring, _ path: String, _ number: Int) {
        let words = Self.words(line)
        for (index, word) in words.enumerated() {
            uses[word, default: 0] += 1
            guard index > 0, let kind = Self.kind(words[index - 1]) else { continue }
            // `class func` names no type, and a pattern (`case EBADF, .failed:`) declares nothing.
            if Self.kind(word) != nil { continue }
            let isPattern = index > 1 || word.first?.isLowercase == false || line.contains("case .")
            if kind == .enumCase, isPattern { continue }
            places.append(
                Place(name: word, kind: kind, path: path, line: number, isOverride: words.contains("override")))
        }
    }

    private static func kind(_ word: String) -> Kind? {
        switch word {
        case "class", "struct", "enum", "protocol", "typealias", "actor": .type
        case "func": .function
        case "let", "var": .variable
        case "case": .enumCase
        default: nil
        }
    }

    /// The identifiers of a line of code, without what stands behind `//`. Words in a string literal count too: an
    /// interpolation is a use.
    static func words(_ line: Substring) -> [String] {
        var found: [String] = []
        var word: [UInt8] = []
        var previous: UInt8 = 0
        for byte in line.utf8 {
            if byte == UInt8(ascii: "/") && previous == byte { break }
            previous = byte
            let isPart =
                byte == UInt8(ascii: "_") || (byte | 0x20) >= UInt8(ascii: "a") && (byte | 0x20) <= UInt8(ascii: "z")
                || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            if isPart {
                word.append(byte)
            } else if !word.isEmpty {
                found.append(String(decoding: word, as: UTF8.self))
                word.removeAll(keepingCapacity: true)
            }
        }
        if !word.isEmpty { found.append(String(decoding: word, as: UTF8.self)) }
        return found
    }
}

extension SourceTree {
    /// What the code declares and uses.
    static let declarations = Declarations(of: files)

    /// Names of types, functions, variables and cases that the code declares.
    static let declaredNames = Set(declarations.places.map(\.name))

    /// Names that occur in the code, those of libraries included.
    static let knownNames = Set(declarations.uses.keys)
}
