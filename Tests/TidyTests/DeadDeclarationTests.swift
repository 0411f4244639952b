import Testing

/// What is declared is used: a name that occurs once in all of `Sources` is dead. A name that two declarations share
/// hides the dead one of them; that is the price of a test this small.
@Suite struct DeadDeclarationTests {
    /// Used by what is not in `Sources`, each with its user.
    static let usedElsewhere: [String: String] = [
        "continuation": "a frame's opcode, made from its raw value",
        "idleCount": "CompressionTests",
        "storageBytes": "LimitsTests",
        "validate": "ArgumentParser",
    ]

    @Test func everyDeclarationIsUsed() {
        let all = SourceTree.declarations
        for place in all.places where all.uses[place.name] == 1 && !place.isOverride {
            #expect(
                Self.usedElsewhere[place.name] != nil,
                "\(place.path):\(place.line): nothing uses \(place.kind.rawValue) \(place.name)")
        }
    }

    @Test(arguments: [
        ("    func look(at x: Int) { y.z() } // and not this", ["func", "look", "at", "x", "Int", "y", "z"]),
        ("", []), ("//", []), ("a_b1", ["a_b1"]),
    ])
    func findsTheWordsOfALine(line: String, words: [String]) {
        #expect(Declarations.words(line[...]) == words)
    }
}
