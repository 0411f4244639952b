import Testing

/// What the documents name exists: a path, a type, a function. A document that cites what was renamed sends its reader
/// to nowhere, and nothing else notices.
@Suite struct DocumentTests {
    /// Back-ticked words of the documents that look like a declaration or a path but are somebody else's.
    static let foreign: Set<String> = ["TLSv1.2", "TLSv1.3"]

    @Test func thereIsSomethingToLookAt() {
        #expect(SourceTree.documents.contains { $0.path == "README.md" })
        #expect(SourceTree.documents.contains { $0.path.hasSuffix("LifeOfARequest.md") })
        #expect(SourceTree.declaredNames.contains("Exchange"))
    }

    @Test(arguments: SourceTree.documents.map(\.path))
    func everyPathExists(document: String) {
        let file = SourceTree.documents.first { $0.path == document }!
        for (index, line) in file.lines.enumerated() {
            for quoted in backTicked(line) where isPath(quoted) {
                #expect(
                    ["", "Sources/", "Tests/EndToEnd/", "config/"].contains { SourceTree.exists($0 + quoted) }
                        || SourceTree.hasFile(endingWith: "/" + quoted),
                    "\(document):\(index + 1): there is no \(quoted)")
            }
        }
    }

    @Test(arguments: SourceTree.documents.map(\.path))
    func everyTypeExists(document: String) {
        let file = SourceTree.documents.first { $0.path == document }!
        for (index, line) in file.lines.enumerated() {
            for quoted in backTicked(line) where isTypeName(quoted) && !Self.foreign.contains(quoted) {
                for part in quoted.split(separator: ".") {
                    #expect(
                        SourceTree.declaredNames.contains(String(part)) || SourceTree.targets.contains(String(part)),
                        "\(document):\(index + 1): nothing is called \(quoted)")
                }
            }
        }
    }

    /// Comments of the code that refer to a type in back-ticks.
    @Test func everyTypeInAnyCommentExists() {
        for file in SourceTree.files {
            for (index, line) in file.lines.enumerated() {
                let text = line.drop { $0 == " " }
                guard text.hasPrefix("//") else { continue }
                for quoted in backTicked(text) where isTypeName(quoted) {
                    let first = String(quoted.prefix { $0 != "." })
                    #expect(
                        SourceTree.knownNames.contains(first) || Self.foreign.contains(quoted),
                        "\(file.path):\(index + 1): nothing is called \(quoted)")
                }
            }
        }
    }

    /// A section or row of a paper that the reader does not have explains nothing; steps, articles and RFCs have names.
    @Test func noCommentCitesWhatIsNotHere() {
        for file in SourceTree.files {
            for (index, line) in file.lines.enumerated() where line.drop(while: { $0 == " " }).hasPrefix("//") {
                let cites = line.lowercased().contains("the contract") || line.contains("CONTRACT")
                #expect(!cites, "\(file.path):\(index + 1): the contract is not in this repository")
            }
        }
    }

    private func backTicked(_ line: Substring) -> [String] {
        let parts = line.split(separator: "`", omittingEmptySubsequences: false)
        return stride(from: 1, to: max(parts.count - 1, 1), by: 2).map { String(parts[$0]) }
    }

    /// `Gateway/Steps/X.swift`, `Tests/TLSTests`, `test_launch.py`; no placeholder and no address.
    private func isPath(_ word: String) -> Bool {
        guard word.allSatisfy({ $0.isLetter || $0.isNumber || "/._+-".contains($0) }), !word.hasPrefix("/"),
            !word.hasPrefix(".")
        else { return false }
        let endings = [".swift", ".py", ".md", ".sh", ".yaml", ".service"]
        return endings.contains { word.hasSuffix($0) } || word.hasPrefix("Tests/") || word.hasPrefix("Sources/")
    }

    /// `UpstreamPool`, `Exchange.begin`: starts with a capital and has a small letter, no spaces, no punctuation.
    private func isTypeName(_ word: String) -> Bool {
        guard let first = word.first, first.isUppercase, first.isASCII,
            word.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || $0 == ".") }), !isPath(word)
        else { return false }
        let capitals = word.filter(\.isUppercase).count
        return word.contains(where: \.isLowercase) && capitals >= 2
    }
}
