import Testing

/// A reason that metrics and logs can name is one that something emits: otherwise an operator looks for what never
/// happens.
@Suite struct RefusalReasonTests {
    private static let home = "Sources/Observe/RefusalReason.swift"

    @Test func everyReasonIsEmittedSomewhere() throws {
        let file = try #require(SourceTree.files.first { $0.path == Self.home })
        let reasons = file.lines.prefix { !$0.contains("var label") }
            .filter { $0.hasPrefix("    case ") }
            .flatMap { $0.dropFirst(9).split(separator: ",").map { String($0.drop { $0 == " " }) } }
        #expect(reasons.count > 40)
        let others = SourceTree.files.filter { $0.path != Self.home }
        for reason in reasons {
            #expect(
                others.contains { $0.lines.contains { Declarations.words($0).contains(reason) } },
                "nothing emits \(reason): remove it")
        }
    }
}
