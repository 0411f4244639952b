import Glibc

/// The source tree of the checkout that this test was built from.
enum SourceTree {
    struct File: Sendable {
        /// From the root of the repository.
        let path: String
        /// The target it belongs to.
        let target: String
        let lines: [Substring]
    }

    private static var root: String {
        let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
        return parts.dropLast(3).joined(separator: "/")
    }

    /// The targets: the folders of `Sources`.
    static let targets = entries("Sources").sorted()

    /// Every Swift file below `Sources`.
    static let files = targets.flatMap { target in
        swiftFiles(below: "Sources/\(target)").map { path in
            File(path: path, target: target, lines: text(path).split(separator: "\n", omittingEmptySubsequences: false))
        }
    }

    /// The documents that explain the program: README and its like, and the articles beside the code.
    static let documents = (entries("").filter { $0.hasSuffix(".md") } + articles).sorted().map { path in
        File(path: path, target: "", lines: text(path).split(separator: "\n", omittingEmptySubsequences: false))
    }

    private static let articles = targets.flatMap { target in
        entries("Sources/\(target)").filter { $0.hasSuffix(".docc") }.flatMap { folder in
            entries("Sources/\(target)/\(folder)").map { "Sources/\(target)/\(folder)/\($0)" }
        }
    }

    /// Whether the repository has such a file or folder.
    static func exists(_ path: String) -> Bool { unsafe access("\(root)/\(path)", F_OK) == 0 }

    /// Whether some Swift file, a test or not, or an article has a path that ends so.
    static func hasFile(endingWith end: String) -> Bool {
        (files.map(\.path) + testPaths + articles).contains { $0.hasSuffix(end) }
    }

    private static let testPaths = swiftFiles(below: "Tests")

    private static func swiftFiles(below folder: String) -> [String] {
        entries(folder).sorted().flatMap { name -> [String] in
            if name.hasSuffix(".swift") { return ["\(folder)/\(name)"] }
            return name.contains(".") ? [] : swiftFiles(below: "\(folder)/\(name)")
        }
    }

    private static func entries(_ folder: String) -> [String] {
        guard let directory = unsafe opendir("\(root)/\(folder)") else { return [] }
        defer { unsafe closedir(directory) }
        var names: [String] = []
        while let entry = unsafe readdir(directory) {
            let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if !name.hasPrefix(".") { names.append(name) }
        }
        return names
    }

    private static func text(_ path: String) -> String {
        guard let file = unsafe fopen("\(root)/\(path)", "r") else { return "" }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while case let count = unsafe fread(&piece, 1, piece.count, file), count > 0 { bytes += piece[..<count] }
        return String(decoding: bytes, as: UTF8.self)
    }
}

extension SourceTree.File {
    /// The modules it imports, each with its line number.
    var imports: [(module: String, line: Int)] {
        lines.enumerated().compactMap { index, line in
            var words = line.split(separator: " ")[...]
            while let first = words.first, first.hasPrefix("@") || ["public", "internal", "package"].contains(first) {
                words = words.dropFirst()
            }
            guard words.first == "import", let module = words.last else { return nil }
            return (String(module.prefix { $0 != "." }), index + 1)
        }
    }
}
