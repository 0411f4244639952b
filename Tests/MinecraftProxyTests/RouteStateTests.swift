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

    @Test func who_was_tried_is_not_tried_again_and_a_cap_holds() throws {
        let state = try #require(snapshot([route("a.test", 1, 2)]).route(for: .name("a.test")))
        #expect(state.choose(for: anyone, tried: [0], slowStartMs: 0, nowMs: 1)?.0 == 1)
        #expect(state.choose(for: anyone, tried: [0, 1], slowStartMs: 0, nowMs: 1) == nil)
        #expect(state.shared.enter(atMost: 1) && !state.shared.enter(atMost: 1))
        state.shared.leave()
        #expect(state.shared.enter(atMost: 1) && state.shared.enter(atMost: 0))
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
