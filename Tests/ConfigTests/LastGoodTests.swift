import Config
import Glibc
import Routing
import Testing
import Wire

@Suite struct LastGoodTests {
    let folder = TemporaryFolder()
    let config = EdgeConfig()

    private var table: RouteTable {
        get throws {
            let name = "minecraft.yaml"
            let minecraft = try RoutesFile.load(
                path: "\(GoldenFileTests.folder)/routes/good/\(name)", against: config, previous: nil, force: false,
                generation: 1
            ).table.minecraft
            let endpoint = try #require(Endpoint("10.0.0.1:6000"))
            let endpointIPv6 = try #require(Endpoint("[fd00::1]:6001"))
            return RouteTable(
                ide: [
                    IDERoute(vmid: 2, endpoint: endpoint, generation: "null"),
                    IDERoute(vmid: 3, endpoint: endpoint, generation: "01"),
                    IDERoute(vmid: 999_999_999, endpoint: endpointIPv6, generation: "\"é🎮\u{85}\u{2028}\u{feff}\\'#:"),
                ],
                minecraft: minecraft,
                revoked: [
                    .session("s"), .user("a\"b\n", before: nil), .user("c", before: 5), .vmid(7, before: nil),
                    .vmid(8, before: 1_795_255_200),
                ],
                generation: 41)
        }
    }

    @Test func whatIsSavedIsLoaded() throws {
        let saved = try table
        try LastGood.save(saved, state: folder.path)
        let loaded = try #require(LastGood.load(state: folder.path, against: config))
        #expect(loaded.ide == saved.ide)
        #expect(loaded.conflicts == 2)
        #expect(loaded.minecraft == saved.minecraft)
        #expect(loaded.revoked == saved.revoked)
        #expect(loaded.generation == 41)
    }

    @Test func anEmptyTableIsASnapshotToo() throws {
        try LastGood.save(.empty, state: folder.path)
        #expect(LastGood.load(state: folder.path, against: config)?.ideCount == 0)
    }

    @Test func onlyWeMayReadItAndNothingElseIsLeft() throws {
        try LastGood.save(table, state: folder.path)
        try LastGood.save(table, state: folder.path)
        #expect(listFolder(folder.path) == [LastGood.fileName])
        var status = stat()
        #expect(unsafe stat("\(folder.path)/\(LastGood.fileName)", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func aLeftoverOfACrashIsReplaced() throws {
        let leftover = folder.file("\(LastGood.fileName).new", "half")
        unsafe chmod(leftover, 0o666)
        try LastGood.save(table, state: folder.path)
        var status = stat()
        #expect(unsafe stat("\(folder.path)/\(LastGood.fileName)", &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func aSnapshotThatNoLongerHoldsIsNotUsed() throws {
        try LastGood.save(table, state: folder.path)
        var config = config
        config.upstreams = []
        #expect(LastGood.load(state: folder.path, against: config) == nil)
        #expect(LastGood.load(state: "\(folder.path)/none", against: self.config) == nil)
        _ = folder.file(LastGood.fileName, "{\"ide\": {")
        #expect(LastGood.load(state: folder.path, against: self.config) == nil)
    }

    @Test func aFolderThatIsMissingIsAnError() {
        let failure = #expect(throws: FileFailure.self) { try LastGood.save(.empty, state: "\(folder.path)/none") }
        #expect(failure?.description.contains("No such file or directory") == true)
    }
}
