import FoundationEssentials

/// A file of the corpus: its name without the extension, and its bytes.
struct CorpusFile: Sendable, CustomStringConvertible {
    let name: String
    let bytes: [UInt8]
    var description: String { name }

    /// The files of a folder beside the tests, in the order of their names.
    static func all(_ folder: String, extension suffix: String = ".http") -> [CorpusFile] {
        let path = "\(directory)/\(folder)"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []
        return names.filter { $0.hasSuffix(suffix) }.sorted().map { name in
            CorpusFile(
                name: String(name.dropLast(suffix.count)),
                bytes: FileManager.default.contents(atPath: "\(path)/\(name)").map { Array($0) } ?? [])
        }
    }

    /// The text of one file beside the tests.
    static func text(_ path: String) -> String {
        let data = FileManager.default.contents(atPath: "\(directory)/\(path)")
        return data.map { String(decoding: $0, as: UTF8.self) } ?? ""
    }

    private static var directory: String {
        let here = #filePath
        return String(here[..<(here.lastIndex(of: "/") ?? here.endIndex)])
    }
}
