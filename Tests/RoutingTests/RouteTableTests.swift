import Routing
import Testing
import Wire

/// A route at `10.0.0.<last>:6000`.
func ide(_ vmid: UInt32, _ last: UInt32, generation: String = "g", port: UInt16 = 6000) -> IDERoute {
    let endpoint = Endpoint(address: IPAddress(ipv4: 0x0a00_0000 + last), port: port)
    return IDERoute(vmid: vmid, endpoint: endpoint, generation: generation)
}

func table(_ ide: [IDERoute], minecraft: [MinecraftRoute] = []) -> RouteTable {
    RouteTable(ide: ide, minecraft: minecraft, revoked: [], generation: 1)
}

func minecraft(_ host: String, last: UInt32 = 1) -> MinecraftRoute {
    MinecraftRoute(
        host: host,
        backends: [.init(endpoint: Endpoint(address: IPAddress(ipv4: 0x0a00_0000 + last), port: 25565))])
}

@Suite struct RouteTableTests {
    @Test func findsEveryRouteWhateverTheOrder() {
        let vmids: [UInt32] = [7, 1, 4_294_967_295, 1101, 2, 999_999_999, 30]
        let table = table(vmids.enumerated().map { ide($0.element, UInt32($0.offset), generation: "g\($0.element)") })
        #expect(table.ideCount == 7)
        #expect(table.ide.map(\.vmid) == vmids.sorted())
        for (index, vmid) in vmids.enumerated() {
            #expect(table.route(for: vmid) == ide(vmid, UInt32(index), generation: "g\(vmid)"))
        }
        for absent: UInt32 in [0, 3, 31, 1100, 1102, 4_294_967_294] { #expect(table.route(for: absent) == nil) }
    }

    @Test func anEmptyTableHasNoRoute() {
        #expect(RouteTable.empty.route(for: 1) == nil)
        #expect(RouteTable.empty.minecraftRoute(for: "play.example.com") == nil)
    }

    @Test(arguments: 0...130) func searchesTablesOfEverySize(count: UInt32) {
        let table = table((0..<count).map { ide($0 * 2 + 1, $0) })
        for vmid in 0...(count * 2 + 1) {
            #expect((table.route(for: vmid) != nil) == (vmid % 2 == 1 && vmid < count * 2))
        }
    }

    @Test func ofTwoRoutesForOneVMIDTheFirstCounts() {
        let table = table([ide(5, 1), ide(3, 2), ide(5, 3)])
        #expect(table.ide == [ide(3, 2), ide(5, 1)])
    }

    @Test func sameAddressAndPortIsAConflictOfAllWhoClaimIt() {
        let table = table([ide(1, 1), ide(2, 2), ide(3, 1), ide(4, 1), ide(5, 1, port: 6001)])
        #expect(table.conflicts == 3)
        #expect(table.ide.filter(\.isConflicted).map(\.vmid) == [1, 3, 4])
        #expect(table.route(for: 2)?.isConflicted == false)
        #expect(table.route(for: 5)?.isConflicted == false)
    }

    @Test func knowsWhetherAnAddressIsAnothers() {
        let table = table([ide(1, 1), ide(2, 2), ide(3, 3, port: 6001), ide(4, 2, port: 7000), ide(5, 9)])
        let rows: [(last: UInt32, vmid: UInt32, isTaken: Bool)] = [
            (1, 1, false), (1, 2, true), (1, 99, true), (2, 2, true), (2, 4, true), (3, 3, false), (3, 1, true),
            (4, 1, false), (0, 1, false), (9, 5, false), (9, 4, true), (200, 5, false),
        ]
        for row in rows {
            #expect(table.isTaken(ide(0, row.last).endpoint.address, byOtherThan: row.vmid) == row.isTaken)
        }
        #expect(!RouteTable.empty.isTaken(ide(0, 1).endpoint.address, byOtherThan: 1))
    }

    @Test func aMappedAddressConflictsWithItsIPv4Form() throws {
        let mapped = Endpoint(address: try #require(IPAddress("::ffff:10.0.0.1")), port: 6000)
        let table = table([ide(1, 1), IDERoute(vmid: 2, endpoint: mapped, generation: "g")])
        #expect(table.conflicts == 2)
    }

    @Test(arguments: [
        ("play.example.com", "play.example.com"), ("a.mc.example.com", "*.mc.example.com"),
        ("b.a.mc.example.com", "*.a.mc.example.com"), ("c.b.a.mc.example.com", "*.a.mc.example.com"),
        ("mc.example.com", "*.example.com"), ("example.com", "*"), ("", "*"), ("10.0.0.1", "*"), ("*", "*"),
        ("*.mc.example.com", "*.mc.example.com"), ("..", "*"),
    ])
    func aHostTakesTheExactRouteThenTheLongestWildcard(host: String, expected: String) {
        let hosts = ["*", "*.example.com", "*.mc.example.com", "*.a.mc.example.com", "play.example.com"]
        let table = table([], minecraft: hosts.map { minecraft($0) })
        #expect(table.minecraftRoute(for: host)?.host == expected)
    }

    @Test func withoutADefaultAnUnknownHostHasNoRoute() {
        let table = table([], minecraft: [minecraft("*.mc.example.com")])
        #expect(table.minecraftRoute(for: "example.com") == nil)
    }
}
