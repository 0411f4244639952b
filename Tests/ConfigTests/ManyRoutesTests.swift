import CYAML
import Glibc
import Routing
import Testing

@testable import Config

/// 100 000 routes: read in a second and a half, and under 200 bytes of live heap each.
@Suite(.serialized) struct ManyRoutesTests {
    static let count = 100_000
    let folder = TemporaryFolder()

    /// `suffix` makes generations that do not fit into a string's own 15 bytes.
    static func text(suffix: String) -> String {
        "ide:\n"
            + (0..<count).map { index in
                let address = "10.\(index >> 16).\(index >> 8 & 255).\(index & 255)"
                return "  \(1000 + index): { address: \(address), port: 6000, generation: 01JD3K\(index)\(suffix) }\n"
            }.joined()
    }

    @Test func areReadQuickly() throws {
        let path = folder.file("routes.yaml", Self.text(suffix: ""))
        let clock = ContinuousClock()
        var loaded: LoadedRoutes?
        let time = try clock.measure {
            loaded = try RoutesFile.load(
                path: path, against: EdgeConfig(), previous: nil, force: false, generation: 1)
        }
        #expect(loaded?.table.ideCount == Self.count)
        #expect(loaded?.table.route(for: 1000 + 54_321)?.generation == "01JD3K54321")
        print("100 000 routes were read in \(time)")
        #if DEBUG
        #expect(time < .seconds(120))
        #else
        #expect(time < .seconds(1.5))
        #endif
    }

    /// In a process of its own, where no other test allocates.
    @Test(arguments: ["", "-8f14e45f-ceea-467f-a0e6-1a2b3c4d5e6f"]) func areSmall(suffix: String) async {
        await #expect(processExitsWith: .success) { [suffix = suffix as String] in
            let folder = TemporaryFolder()
            let path = folder.file("routes.yaml", ManyRoutesTests.text(suffix: suffix))
            let residentBefore = residentBytes()
            let before = liveHeap()
            let table = try RoutesFile.load(
                path: path, against: EdgeConfig(), previous: nil, force: false, generation: 1
            ).table
            let each = (liveHeap() - before) / ManyRoutesTests.count
            let resident = (residentBytes() - residentBefore) / ManyRoutesTests.count
            withExtendedLifetime(table) {}
            #expect((20..<200).contains(each), "\(each) bytes")
            // What parsing took went back to the system; the slack is for pages that are partly in use.
            #expect(resident < 400, "\(resident) bytes")
        }
    }

    @Test func aSnapshotOfThemIsReadBack() throws {
        let path = folder.file("routes.yaml", Self.text(suffix: ""))
        let config = EdgeConfig()
        let table = try RoutesFile.load(path: path, against: config, previous: nil, force: false, generation: 1).table
        try LastGood.save(table, state: folder.path)
        #expect(LastGood.load(state: folder.path, against: config)?.ide == table.ide)
    }
}

/// Bytes the process has allocated and not freed.
private func liveHeap() -> Int {
    let info = mallinfo2()
    return Int(info.uordblks) + Int(info.hblkhd)
}

/// Memory of the process that is in RAM.
private func residentBytes() -> Int {
    // Pages: size, resident, …
    let file = unsafe open("/proc/self/statm", O_RDONLY)
    defer { close(file) }
    var text = [UInt8](repeating: 0, count: 128)
    let count = unsafe text.withUnsafeMutableBytes { unsafe read(file, $0.baseAddress, $0.count) }
    let fields = String(decoding: text.prefix(max(count, 0)), as: UTF8.self).split(separator: " ")
    return (fields.count > 1 ? Int(fields[1]) ?? 0 : 0) * Int(sysconf(Int32(_SC_PAGESIZE)))
}
