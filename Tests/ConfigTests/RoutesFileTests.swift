import Config
import Glibc
import Limits
import Routing
import Testing

@Suite struct RoutesFileTests {
    let folder = TemporaryFolder()
    let config = EdgeConfig()

    private func load(
        _ text: String, previous: RouteTable? = nil, force: Bool = false, config: EdgeConfig? = nil
    ) throws -> LoadedRoutes {
        try RoutesFile.load(
            path: folder.file("routes.yaml", text), against: config ?? self.config, previous: previous, force: force,
            generation: 7)
    }

    private func ide(_ range: ClosedRange<Int>) -> String {
        "ide:\n" + range.map { "  \($0): { address: 10.0.0.\($0), generation: g }\n" }.joined()
    }

    private func minecraft(_ range: ClosedRange<Int>) -> String {
        let backends = "backends: [{ address: \"10.0.0.1:25565\" }]"
        return "minecraft:\n" + range.map { "  - { host: h\($0).example, \(backends) }\n" }.joined()
    }

    @Test func theTableHasTheGenerationAndTheDiff() throws {
        let first = try load(ide(1...3))
        #expect(first.table.generation == 7)
        #expect(first.diff.added == [1, 2, 3])
        let second = try load(ide(2...4), previous: first.table)
        #expect(second.diff.added == [4])
        #expect(second.diff.removed == [1])
    }

    @Test(arguments: [(20, 10, true), (20, 9, false), (19, 0, true), (19, 1, true), (100, 50, true), (100, 49, false)])
    func aReloadMayRemoveHalfOfTwentyOrMore(before: Int, after: Int, isTaken: Bool) throws {
        let previous = try load(ide(1...before)).table
        let text = after == 0 ? "ide: {}" : ide(1...after)
        let taken = try? load(text, previous: previous)
        #expect((taken != nil) == isTaken)
        #expect(try load(text, previous: previous, force: true).table.ideCount == after)
    }

    @Test func minecraftRoutesCountForThemselvesAndTogether() throws {
        let many = try load(ide(1...100) + minecraft(1...20)).table
        #expect(throws: ConfigProblems.self) { try load(ide(1...100), previous: many) }
        #expect(try load(ide(1...100) + minecraft(1...10), previous: many).table.minecraft.count == 10)
        let few = try load(ide(1...10) + minecraft(1...10)).table
        #expect(throws: ConfigProblems.self) { try load(ide(1...9), previous: few) }
    }

    @Test func theShareIsConfigurable() throws {
        var config = config
        config.limits.reloadRemoves = 0.1
        let previous = try load(ide(1...100)).table
        #expect(throws: ConfigProblems.self) { try load(ide(1...89), previous: previous, config: config) }
        #expect(try load(ide(1...90), previous: previous, config: config).table.ideCount == 90)
        config.limits.reloadRemoves = 1
        #expect(try load("ide: {}", previous: previous, config: config).table.ideCount == 0)
    }

    @Test func changingRoutesRemovesNone() throws {
        let previous = try load(ide(1...100)).table
        let changed = ide(1...100).split(separator: "generation: g").joined(separator: "generation: h")
        #expect(try load(changed, previous: previous).diff.changed.count == 100)
    }

    @Test func aMissingFileIsAProblemWithItsName() {
        let problems = #expect(throws: ConfigProblems.self) {
            try RoutesFile.load(
                path: "\(folder.path)/none", against: config, previous: nil, force: false, generation: 1)
        }
        #expect(problems?.description == "\(folder.path)/none:1: cannot be read: No such file or directory")
    }

    @Test func aFolderOrFIFOIsNotAFile() {
        unsafe mkfifo("\(folder.path)/fifo", 0o600)
        for path in [folder.path, "\(folder.path)/fifo"] {
            let problems = #expect(throws: ConfigProblems.self) {
                try RoutesFile.load(path: path, against: config, previous: nil, force: false, generation: 1)
            }
            #expect(problems?.problems.first?.message == "cannot be read: it is not a regular file")
        }
    }

    @Test func aHugeFileIsRefusedUnread() {
        let path = folder.file("huge.yaml", "")
        unsafe truncate(path, 65 << 20)
        let problems = #expect(throws: ConfigProblems.self) {
            try RoutesFile.load(path: path, against: config, previous: nil, force: false, generation: 1)
        }
        #expect(problems?.problems.first?.message.contains("larger than 64 MiB") == true)
    }
}

@Suite struct RevokedOnlyTests {
    let folder = TemporaryFolder()

    @Test(
        arguments: [
            // Refused for another reason, the list whole.
            ("ide: { 1: { address: 8.8.8.8, generation: g } }\nrevoked: [{ session: a }]\n", [.session("a")]),
            // A bad entry does not spare the good ones, nor does it turn into a wider one.
            (
                "revoked: [{ user: a, before: soon }, { user: b }, { vmid: 1, before: 5 }]\n",
                [.user("b", before: nil), .vmid(1, before: 5)]
            ),
            // The list came before the mistake.
            ("revoked:\n  - { session: a }\nide:\n  1: {\n", [.session("a")]),
            ("revoked:\n  - { session: a }\nide:\n  1: { address: *x }\n", [.session("a")]),
            ("revoked: []\nide: 5\n", []),
            // The mistake is within the list or before it: what is cut cannot be told from what is whole.
            ("revoked:\n  - { session: a }\n  - { user: b\nide: {}\n", nil),
            ("ide: [\nrevoked: [{ session: a }]\n", nil),
            ("", nil), ("ide: {}\n", nil), ("- revoked\n", nil), ("revoked: text\n", []),
        ] as [(String, [RevocationRule]?)])
    func readsWhatCanBeRead(text: String, expected: [RevocationRule]?) {
        #expect(RoutesFile.revokedOnly(path: folder.file("routes.yaml", text)) == expected)
    }

    @Test func aMissingFileRevokesNothing() {
        #expect(RoutesFile.revokedOnly(path: "\(folder.path)/none") == nil)
    }
}
