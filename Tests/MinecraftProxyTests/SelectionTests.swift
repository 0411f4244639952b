import Routing
import Testing
import Wire

@testable import MinecraftProxy

private func candidates(_ list: [(weight: Double, open: Int)]) -> [Candidate] {
    list.enumerated().map { index, item in
        let endpoint = Endpoint(address: IPAddress(ipv4: 0x0a00_0001 + UInt32(index)), port: 25565)
        return Candidate(index: index, weight: item.weight, open: item.open, key: endpoint.selectionKey)
    }
}

private let anyone = IPAddress(ipv4: 0x7f00_0001)

struct SelectionTests {
    @Test func nobody_is_chosen_of_none() {
        var selection = ServerSelection()
        for balance in MinecraftRoute.Balance.allCases {
            #expect(selection.select(balance, among: [], source: anyone) == nil)
        }
    }

    @Test func least_connections_fills_by_weight_and_turns_on_ties() {
        var selection = ServerSelection()
        var open = [0, 0, 0]
        for _ in 0..<40 {
            let list = candidates([(2, open[0]), (1, open[1]), (1, open[2])])
            guard let chosen = selection.select(.leastConnections, among: list, source: anyone) else { continue }
            open[chosen] += 1
        }
        #expect(open[0] == 20 && open[1] == 10 && open[2] == 10)
        // Players that come and go one at a time still reach every backend.
        var seen: Set<Int> = []
        for _ in 0..<4 {
            let list = candidates([(1, 0), (1, 0), (1, 0)])
            seen.insert(selection.select(.leastConnections, among: list, source: anyone) ?? -1)
        }
        #expect(seen == [0, 1, 2])
    }

    @Test func round_robin_spreads_by_weight_without_bursts() {
        var selection = ServerSelection()
        let list = candidates([(3, 0), (1, 0)])
        let order = (0..<8).compactMap { _ in selection.select(.roundRobin, among: list, source: anyone) }
        #expect(order == [0, 0, 1, 0, 0, 0, 1, 0])
        // One of them leaves: the other serves, and is not owed for ever.
        let only = (0..<3).compactMap { _ in
            selection.select(.roundRobin, among: [list[1]], source: anyone)
        }
        #expect(only == [1, 1, 1])
    }

    @Test func a_source_moves_only_when_its_backend_leaves() {
        var selection = ServerSelection()
        let all = candidates([(1, 0), (2, 0), (1, 0)])
        var counts = [0, 0, 0]
        for number in 0..<4000 {
            let source = IPAddress(ipv4: 0x0b00_0000 + UInt32(number))
            guard let before = selection.select(.sourceHash, among: all, source: source) else { continue }
            counts[before] += 1
            let after = selection.select(.sourceHash, among: [all[0], all[1]], source: source)
            if before != 2 { #expect(after == before) }
        }
        #expect((850...1150).contains(counts[0]) && (1850...2150).contains(counts[1]), "\(counts)")
    }

    @Test func a_backend_that_came_back_grows_into_its_share() {
        let backend = Backend(route: "a", endpoint: Endpoint(address: anyone, port: 1))
        #expect(backend.share(nowMs: 1000, slowStartMs: 30_000) == 1)
        backend.setUp(false, nowMs: 1000)
        backend.setUp(true, nowMs: 2000)
        #expect(backend.share(nowMs: 2000, slowStartMs: 30_000) == 0.1)
        #expect(backend.share(nowMs: 17_000, slowStartMs: 30_000) == 0.5)
        #expect(backend.share(nowMs: 40_000, slowStartMs: 30_000) == 1)
        #expect(backend.share(nowMs: 2000, slowStartMs: 0) == 1)
        // Another loop's clock may be behind.
        #expect(backend.share(nowMs: 1999, slowStartMs: 30_000) == 1)
    }
}

struct StatusCacheTests {
    private func word(_ decision: StatusCache.Decision) -> String {
        switch decision {
        case .fresh(let answer): "fresh \(answer.json[0])"
        case .fetch: "fetch"
        case .wait: "wait"
        case .other(let answer): "other \(answer.json[0])"
        case .stale(let answer): "stale \(answer.map { "\($0.json[0])" } ?? "-")"
        }
    }

    private func look(_ cache: inout StatusCache, _ version: Int32, _ nowMs: UInt64, canDial: Bool = true) -> String {
        word(cache.look(version, loop: 1, canDial: canDial, timeoutMs: 2000, nowMs: nowMs))
    }

    @Test func one_asks_and_the_others_wait() {
        var cache = StatusCache()
        #expect(look(&cache, 767, 10_000) == "fetch")
        #expect(look(&cache, 767, 10_001) == "wait")
        #expect(cache.finished(767, json: [7], nowMs: 10_050) == [1])
        #expect(look(&cache, 767, 15_049) == "fresh 7")
        #expect(look(&cache, 767, 15_050) == "fetch")
        // A moment on another loop, whose clock is behind.
        #expect(look(&cache, 767, 10_000) == "fresh 7")
    }

    @Test func two_dials_a_second_and_the_rest_get_the_newest() {
        var cache = StatusCache()
        #expect(look(&cache, 1, 10_000) == "fetch")
        _ = cache.finished(1, json: [1], nowMs: 10_001)
        #expect(look(&cache, 2, 10_002) == "fetch")
        _ = cache.finished(2, json: [2], nowMs: 10_003)
        for version in 3..<20 { #expect(look(&cache, Int32(version), 10_004) == "other 2") }
        #expect(look(&cache, 3, 11_100) == "fetch")
    }

    @Test func sixteen_protocols_at_most() {
        var cache = StatusCache()
        for version in 0..<16 {
            let now = UInt64(10_000 + version * 250)
            _ = look(&cache, Int32(version), now)
            _ = cache.finished(Int32(version), json: [UInt8(version)], nowMs: now)
        }
        #expect(look(&cache, 99, 14_000) == "other 15")
        // The oldest made room once it was no longer fresh.
        #expect(look(&cache, 99, 15_100) == "fetch")
    }

    @Test func old_answers_when_nobody_answers() {
        var cache = StatusCache()
        #expect(look(&cache, 1, 10_000, canDial: false) == "stale -")
        cache.note([9], nowMs: 10_000)
        #expect(look(&cache, 1, 10_000, canDial: false) == "stale 9")
        #expect(look(&cache, 1, 20_000) == "fetch")
        _ = cache.finished(1, json: nil, nowMs: 20_001)
        #expect(word(cache.fallback) == "stale 9")
        #expect(look(&cache, 2, 20_002) == "fetch")
        #expect(look(&cache, 3, 20_003) == "stale 9")
        // A fetch that nobody ended is not waited for for ever.
        #expect(look(&cache, 2, 24_100) == "fetch")
    }
}

struct HealthMonitorTests {
    private let settings = HealthSettings(intervalMs: 5000, timeoutMs: 2000, fall: 2, rise: 1)

    @Test func two_failures_out_and_one_success_in() {
        let backend = Backend(route: "a", endpoint: Endpoint(address: anyone, port: 1))
        var monitor = HealthMonitor()
        #expect(monitor.ended(backend, isGood: true, settings, nowMs: 0) == nil)
        #expect(monitor.ended(backend, isGood: false, settings, nowMs: 5000) == nil)
        #expect(monitor.ended(backend, isGood: true, settings, nowMs: 6000) == nil)
        #expect(monitor.ended(backend, isGood: false, settings, nowMs: 7000) == nil)
        #expect(monitor.ended(backend, isGood: false, settings, nowMs: 8000) == false)
        backend.setUp(false, nowMs: 8000)
        #expect(monitor.ended(backend, isGood: false, settings, nowMs: 13_000) == nil)
        #expect(monitor.ended(backend, isGood: true, settings, nowMs: 14_000) == true)
    }
}
