import Testing

@testable import Limits

@Suite struct BudgetTests {
    @Test(arguments: [
        (0, MemoryPressure.normal), (799, .normal), (800, .noBodies), (899, .noBodies), (900, .noAccept),
        (949, .noAccept), (950, .shed), (1000, .shed), (.max, .shed), (-1, .normal),
    ])
    func pressureRisesWithUse(_ used: Int, _ expected: MemoryPressure) {
        #expect(MemoryBudget(bytes: 1000).pressure(used: used) == expected)
    }

    @Test func pressureIsOrdered() {
        #expect(MemoryPressure.normal < .noBodies && .noBodies < .noAccept && .noAccept < .shed)
    }

    @Test(
        arguments: [
            (1000, 500, 300), (1000, nil, 600), (nil, 500, 300), (500, 1000, 300), (1000, 0, 600),
            (nil, nil, (512 << 20) / 10 * 6),
        ] as [(Int?, Int?, Int)])
    func automaticIsSixtyPercentOfTheSmaller(_ machine: Int?, _ cgroup: Int?, _ expected: Int) {
        #expect(MemoryBudget.automatic(machine: machine, cgroup: cgroup).bytes == expected)
    }

    @Test(arguments: [(1024, 384), (256, 1), (0, 1), (258, 1), (260, 2), (1 << 20, (1 << 20 - 256) / 2)])
    func descriptorsAreSharedByTwo(_ rlimit: Int, _ expected: Int) {
        #expect(descriptorBudget(rlimit) == expected)
    }

    @Test func readsTheKernelsFiles() {
        #expect(SystemMemory.resident(statm: "12 7 3 1 0 2 0\n", pageSize: 4096) == 7 * 4096)
        #expect(SystemMemory.resident(statm: "", pageSize: 4096) == nil)
        #expect(SystemMemory.memTotal(meminfo: "MemTotal:       24689764 kB\nMemFree: 1 kB\n") == 24_689_764 * 1024)
        #expect(SystemMemory.memTotal(meminfo: "MemFree: 1 kB\n") == nil)
        #expect(SystemMemory.memoryMax("max\n") == nil)
        #expect(SystemMemory.memoryMax("1073741824\n") == 1 << 30)
        #expect(SystemMemory.unifiedPath(cgroup: "0::/\n") == "")
        #expect(SystemMemory.unifiedPath(cgroup: "1:cpu:/a\n0::/system.slice/zlh\n") == "/system.slice/zlh")
        #expect(SystemMemory.unifiedPath(cgroup: "1:cpu:/a\n") == nil)
    }

    @Test func knowsThisMachine() throws {
        let resident = try #require(SystemMemory.residentBytes())
        let machine = try #require(SystemMemory.machineBytes())
        #expect(resident > 1 << 20 && resident < machine)
        #expect(SystemMemory.automaticBudget().bytes <= machine / 10 * 6)
        #expect(SystemMemory.descriptorLimit() >= 64)
    }
}
