import Limits
import Observe
import Routing
import Testing
import Wire

@testable import MinecraftProxy

private struct Places: ConnectionPlaces {
    var shortage: PlaceShortage? { nil }
    func take() {}
    func giveBack() {}
    func want(loop: Int) {}
    func noteStalled(_ bytes: Int) {}
}

private func endpoint(_ number: UInt32) -> Endpoint {
    Endpoint(address: IPAddress(ipv4: 0x0a00_0000 + number), port: 25565)
}

private let anyone = IPAddress(ipv4: 0x7f00_0001)

struct RouteStateTests {
    private let shared = MinecraftShared(
        sources: SourceTable(SourceSettings()), metrics: Metrics(loops: 1), log: LogSink(descriptor: 1),
        places: Places())

    private func snapshot(_ routes: [MinecraftRoute]) -> MinecraftSnapshot {
        let text = ChatText.plain("x")
        return shared.snapshot(
            settings: MinecraftSettings(
                limits: LimitSettings(), health: HealthSettings(),
                messages: PlayerMessages(unknownHost: text, offline: text, full: text, draining: text, limited: text),
                logsPlayerNames: false, logsAccess: false, trustedProxies: []),
            routes: RouteTable(ide: [], minecraft: routes, revoked: [], generation: 1))
    }

    private func route(_ host: String, _ backends: UInt32...) -> MinecraftRoute {
        MinecraftRoute(host: host, backends: backends.map { .init(endpoint: endpoint($0)) })
    }

    @Test func a_reload_carries_players_health_and_answers_over() throws {
        let first = try #require(snapshot([route("a.test", 1, 2)]).route(for: .name("a.test")))
        let (index, backend) = try #require(first.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1))
        #expect(backend.open == 1 && first.backends[index] === backend)
        first.backends[1].setUp(false, nowMs: 1)
        let second = try #require(snapshot([route("a.test", 2, 3, 1)]).route(for: .name("a.test")))
        #expect(second.backends[0] === first.backends[1] && !second.backends[0].isUp)
        #expect(second.backends[2] === first.backends[0] && second.shared === first.shared)
        #expect(second.backends[1].isUp)
        // A route that goes and comes back starts afresh; its old players keep their own.
        _ = snapshot([])
        let third = try #require(snapshot([route("a.test", 1)]).route(for: .name("a.test")))
        #expect(third.backends[0] !== first.backends[0])
        #expect(snapshot([route("b.test", 1)]).route(for: .name("a.test")) == nil)
        #expect(snapshot([route("*", 1)]).route(for: .none)?.route.host == "*")
    }

    @Test func a_weight_of_0_drains_a_backend_until_a_reload_says_otherwise() throws {
        func weighted(_ weights: Int...) -> MinecraftRoute {
            MinecraftRoute(
                host: "a.test",
                backends: weights.enumerated().map {
                    .init(endpoint: endpoint(UInt32($0.offset + 1)), weight: $0.element)
                })
        }
        let half = try #require(snapshot([weighted(0, 1)]).route(for: .name("a.test")))
        for _ in 0..<4 {
            #expect(half.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1)?.0 == 1)
        }
        let none = try #require(snapshot([weighted(0, 0)]).route(for: .name("a.test")))
        #expect(none.absence == .draining && none.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1) == nil)
        // The status still comes from a backend that plays on.
        #expect(none.chooseForStatus() != nil)
        let again = try #require(snapshot([weighted(1, 0)]).route(for: .name("a.test")))
        #expect(again.absence == nil && again.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1)?.0 == 0)
    }

    @Test func a_drained_backend_takes_nobody_and_all_of_them_say_so() throws {
        let state = try #require(snapshot([route("a.test", 1, 2)]).route(for: .name("a.test")))
        #expect(shared.setDraining(true, route: "a.test", backend: endpoint(1)))
        #expect(!shared.setDraining(true, route: "a.test", backend: endpoint(9)))
        for _ in 0..<4 { #expect(state.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1)?.0 == 1) }
        #expect(state.absence == nil)
        #expect(shared.setDraining(true, route: "a.test", backend: endpoint(2)))
        #expect(state.absence == .draining)
        #expect(state.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1) == nil)
        #expect(shared.setDraining(false, route: "a.test", backend: endpoint(2)))
        state.backends[1].setUp(false, nowMs: 1)
        #expect(state.choose(for: anyone, tried: [], slowStartMs: 0, nowMs: 1) == nil)
        #expect(shared.setDraining(false, route: "a.test", backend: endpoint(1)))
        state.backends[0].setUp(false, nowMs: 1)
        #expect(state.absence == .offline && state.chooseForStatus() == nil)
        #expect(shared.backends.allSatisfy { !$0.up })
    }

    @Test func a_drained_backend_does_not_hide_that_the_others_are_out() throws {
        var entry = route("a.test", 1, 2)
        entry.backends[0].weight = 0
        let state = try #require(snapshot([entry]).route(for: .name("a.test")))
        state.backends[1].setUp(false, nowMs: 1)
        #expect(state.absence == .offline)
        #expect(state.chooseLastResort(nowMs: 5000)?.0 == 1)
    }

    @Test func a_check_that_could_not_be_sent_says_nothing() throws {
        let snapshot = snapshot([route("a.test", 1)])
        let backend = snapshot.routes[0].backends[0]
        var monitor = HealthMonitor()
        var nowMs: UInt64 = 1000
        for _ in 0..<5 {
            #expect(monitor.due(snapshot, nowMs: nowMs).count == 1)
            #expect(monitor.ended(backend, isGood: nil, HealthSettings(), nowMs: nowMs) == nil)
            #expect(monitor.due(snapshot, nowMs: nowMs + 999).isEmpty)
            nowMs += 1000
        }
        for verdict in [nil, false] {
            #expect(monitor.due(snapshot, nowMs: nowMs).count == 1)
            #expect(monitor.ended(backend, isGood: false, HealthSettings(), nowMs: nowMs) == verdict)
            nowMs += 5000
        }
    }

    @Test func who_was_tried_is_not_tried_again_and_a_cap_holds() throws {
        let state = try #require(snapshot([route("a.test", 1, 2)]).route(for: .name("a.test")))
        #expect(state.choose(for: anyone, tried: [0], slowStartMs: 0, nowMs: 1)?.0 == 1)
        #expect(state.choose(for: anyone, tried: [0, 1], slowStartMs: 0, nowMs: 1) == nil)
        #expect(state.shared.enter(atMost: 1) && !state.shared.enter(atMost: 1))
        state.shared.leave()
        #expect(state.shared.enter(atMost: 1) && state.shared.enter(atMost: 0))
    }

    @Test func when_all_are_out_one_is_tried_once_a_second() throws {
        let state = try #require(snapshot([route("a.test", 1, 2)]).route(for: .name("a.test")))
        for backend in state.backends { backend.setUp(false, nowMs: 1) }
        let first = try #require(state.chooseLastResort(nowMs: 5000))
        #expect(first.1.open == 1 && state.chooseLastResort(nowMs: 5999) == nil)
        let second = try #require(state.chooseLastResort(nowMs: 6000))
        #expect(second.0 != first.0, "each in turn")
        #expect(shared.setDraining(true, route: "a.test", backend: endpoint(1)))
        for turn in UInt64(7)..<10 { #expect(state.chooseLastResort(nowMs: turn * 1000)?.0 == 1) }
    }

    /// 300 silent backends, each check of which takes 2 s: all are checked in their turn, and those in rotation in time.
    @Test func every_backend_is_checked_in_its_turn() throws {
        let all = (0..<300).map { route("r\($0).test", UInt32($0 + 1)) }
        let snapshot = snapshot(all)
        for silent in snapshot.routes.dropLast(20) { silent.backends[0].setUp(false, nowMs: 0) }
        var monitor = HealthMonitor()
        var running: [(endsMs: UInt64, backend: Backend)] = []
        var checks: [ObjectIdentifier: [UInt64]] = [:]
        for nowMs in stride(from: UInt64(1000), to: 61_000, by: 200) {
            for check in running where check.endsMs <= nowMs {
                _ = monitor.ended(check.backend, isGood: check.backend.isUp, HealthSettings(), nowMs: nowMs)
            }
            running.removeAll { $0.endsMs <= nowMs }
            for (_, backend) in monitor.due(snapshot, nowMs: nowMs) {
                checks[ObjectIdentifier(backend), default: []].append(nowMs)
                running.append((nowMs + (backend.isUp ? 200 : 2000), backend))
            }
            #expect(running.count <= 128)
        }
        for (index, state) in snapshot.routes.enumerated() {
            let times = checks[ObjectIdentifier(state.backends[0])] ?? []
            #expect(times.count >= (index < 280 ? 5 : 11), "route \(index)")
        }
    }

    @Test func a_route_without_checks_is_never_due() throws {
        var unchecked = route("a.test", 1)
        unchecked.health = .none
        var monitor = HealthMonitor()
        let due = monitor.due(snapshot([unchecked]), nowMs: 1)
        #expect(due.isEmpty)
    }

    @Test func refusals_are_few_at_once() {
        var taken = 0
        while shared.takeRefusal() { taken += 1 }
        #expect(taken == 1024)
        shared.giveBackRefusal()
        #expect(shared.takeRefusal() && !shared.takeRefusal())
    }

    @Test func texts_for_every_client() {
        #expect(ChatText.plain("Wait {seconds} s").waiting(3).json == #"{"text":"Wait 3 s"}"#)
        let component = ChatText.component(#"{"text":"Wait ","extra":[{"text":"{seconds} s","color":"red"}]}"#)
        #expect(component.waiting(7).plainText == "Wait 7 s")
        #expect(waitSeconds(0) == 1 && waitSeconds(1) == 1 && waitSeconds(1000) == 1 && waitSeconds(1001) == 2)
    }
}
