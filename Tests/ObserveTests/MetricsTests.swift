import Testing
import Wire

@testable import Observe

@Suite struct MetricsTests {
    func render(_ metrics: Metrics, nowEpochS: Int64 = 1000) throws -> PrometheusText {
        try PrometheusText(text { metrics.render(into: &$0, nowEpochS: nowEpochS) })
    }

    @Test func theCheckerFindsFaults() {
        let good = "# HELP a_total x\n# TYPE a_total counter\na_total{l=\"v\"} 1\n"
        #expect(throws: Never.self) { try PrometheusText(good) }
        for bad in [
            "a_total 1\n", good + "a_total{l=\"v\"} 2\n", good + "b 2\n", good + good, String(good.dropLast()),
            "# HELP a x\n# TYPE a counter\na 1\n", "# HELP a x\n# TYPE a gauge\na{l=\"v} 1\n",
            "# HELP a x\n# TYPE a gauge\na{l=\"v\",l=\"w\"} 1\n", "# HELP a x\n# TYPE a gauge\na{1l=\"v\"} 1\n",
            "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\nh_sum 0\nh_count 1\n",
            "# HELP h x\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 0\nh_count 1\n",
        ] {
            #expect(throws: PrometheusText.Problem.self, "\(bad)") { try PrometheusText(bad) }
        }
    }

    @Test func everyMetricThatAlertsGoByIsThere() throws {
        let text = try render(Metrics(loops: 2))
        let expected = [
            "requests_total": "counter", "request_seconds": "histogram", "upstream_seconds": "histogram",
            "connections": "gauge", "tunnels": "gauge", "bytes_total": "counter", "tls_handshakes_total": "counter",
            "launches_total": "counter", "sessions": "gauge", "refused_total": "counter",
            "minecraft_connections_total": "counter", "backend_up": "gauge", "route_conflicts": "gauge",
            "routes": "gauge", "routes_generation": "gauge", "reloads_total": "counter",
            "certificate_expiry_seconds": "gauge", "certificate_lifetime_seconds": "gauge", "loop_lag_seconds": "gauge",
            "log_dropped_total": "counter",
        ]
        for (name, type) in expected { #expect(text.types["zlh_edge_" + name] == type, "\(name)") }
        for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "start_time_seconds", "max_fds"] {
            #expect(try #require(text.samples["process_" + name]) > 0, "\(name)")
        }
    }

    static let reasons = [
        "headers.bytes", "headers.fields", "headers.timeout", "framing.chunk_extension", "framing.extensions",
        "framing.trailers", "framing.empty_lines", "body.minimum_rate", "response_stall", "keep_alive",
        "tls.handshake", "tls.key_updates", "http2.streams", "http2.abuse", "upstream.connect",
        "upstream.response", "upstream.head", "upstream.fields", "upstream.interim", "upstream.per_vmid",
        "upstream.queue", "upstream.streams_per_vmid",
        "tunnel_idle.websocket", "tunnel_idle.minecraft", "buffer", "memory", "connections", "source.tracked",
        "https.connections", "https.connects", "https.unauthenticated", "minecraft.connections",
        "minecraft.connects", "minecraft.status", "minecraft.login", "minecraft.handshake", "penalty",
        "reload_removes", "drain",
        "bad_request", "misdirected", "limited", "too_large", "timeout", "unauthorized", "forbidden", "no_such_ide",
        "route_conflict", "unreachable", "bad_gateway", "upstream_timeout", "not_found", "method_not_allowed",
    ]

    @Test func everyReasonIsPrintedAtZeroFromTheStart() throws {
        #expect(RefusalReason.allCases.map(\.label.description) == Self.reasons)
        let text = try render(Metrics(loops: 1))
        for reason in Self.reasons {
            let series = ListenerLabel.allCases.map {
                "zlh_edge_refused_total{listener=\"\($0.label)\",reason=\"\(reason)\"}"
            }
            #expect(series.contains { text.samples[$0] == 0 }, "\(reason)")
        }
    }

    @Test func countsOfAllLoopsAreSummed() throws {
        let metrics = Metrics(loops: 2)
        for loop in 0..<2 {
            metrics[loop].request(method: .get, code: 200, protocol: .h2)
            metrics[loop].request(method: .other, code: 42, protocol: .http1)
            metrics[loop].connectionOpened(.https)
            metrics[loop].bytes(.https, .received, 1000)
            metrics[loop].refused(.https, .headersBytes)
            metrics[loop].minecraft(.login, .unknownHost)
        }
        metrics[0].bytes(.https, .sent, -5)
        metrics[1].connectionClosed(.https)
        metrics[1].tunnelOpened(.websocket)
        metrics[1].handshake(.tls13, resumed: true, .ok)
        metrics[0].launch(.wrongContainer)
        metrics.refused(.admin, .reloadRemoves)
        let samples = try render(metrics).samples
        #expect(samples["zlh_edge_requests_total{method=\"GET\",code=\"200\",protocol=\"h2\"}"] == 2)
        #expect(samples["zlh_edge_requests_total{method=\"other\",code=\"100\",protocol=\"http/1.1\"}"] == 2)
        #expect(samples["zlh_edge_connections{listener=\"https\"}"] == 1)
        #expect(samples["zlh_edge_bytes_total{listener=\"https\",direction=\"in\"}"] == 2000)
        #expect(samples["zlh_edge_bytes_total{listener=\"https\",direction=\"out\"}"] == 0)
        #expect(samples["zlh_edge_tunnels{kind=\"websocket\"}"] == 1)
        #expect(samples["zlh_edge_tls_handshakes_total{version=\"1.3\",resumed=\"true\",result=\"ok\"}"] == 1)
        #expect(samples["zlh_edge_launches_total{result=\"wrong_container\"}"] == 1)
        #expect(samples["zlh_edge_refused_total{listener=\"https\",reason=\"headers.bytes\"}"] == 2)
        #expect(samples["zlh_edge_refused_total{listener=\"admin\",reason=\"reload_removes\"}"] == 1)
        #expect(samples["zlh_edge_minecraft_connections_total{intent=\"login\",result=\"unknown_host\"}"] == 2)
        #expect(metrics.requests == 4 && metrics.connections(.https) == 1 && metrics.tunnels(.websocket) == 1)
    }

    /// Every cell that a method can reach is its own: each is bumped once, none twice.
    @Test func noTwoCountersShareACell() {
        let metrics = Metrics(loops: 1)
        let loop = metrics[0]
        for version in HTTPProtocol.allCases {
            for method in (0..<UInt8(10)).compactMap(Method.init(rawValue:)) {
                for code in 100...599 { loop.request(method: method, code: code, protocol: version) }
            }
        }
        for listener in ListenerLabel.allCases {
            loop.connectionOpened(listener)
            for direction in Direction.allCases { loop.bytes(listener, direction, 1) }
            for reason in RefusalReason.allCases { loop.refused(listener, reason) }
        }
        for kind in TunnelKind.allCases { loop.tunnelOpened(kind) }
        for version in TLSVersionLabel.allCases {
            for result in HandshakeResult.allCases {
                loop.handshake(version, resumed: true, result)
                loop.handshake(version, resumed: false, result)
            }
        }
        for result in LaunchResult.allCases { loop.launch(result) }
        for intent in MinecraftIntent.allCases {
            for result in MinecraftResult.allCases { loop.minecraft(intent, result) }
        }
        #expect((0..<Layout.count).allSatisfy { loop.cells[$0] <= 1 })
        #expect(RefusalReason.allCases.count <= 64)
    }

    @Test(
        arguments: [
            (0, "0.0005"), (500, "0.0005"), (501, "0.001"), (1000, "0.001"), (999_999, "1"), (60_000_000, "60"),
            (60_000_001, "+Inf"), (.max, "+Inf"), (-5, "0.0005"),
        ] as [(Int64, String)])
    func timesFallInTheirBucket(_ microseconds: Int64, _ bound: String) throws {
        let metrics = Metrics(loops: 1)
        metrics[0].requestTime(microseconds: microseconds)
        let samples = try render(metrics).samples
        let filled = samples.filter { $0.key.hasPrefix("zlh_edge_request_seconds_bucket") && $0.value == 1 }.map(\.key)
        #expect(filled.contains("zlh_edge_request_seconds_bucket{le=\"\(bound)\"}"))
        let bounds = filled.compactMap { Double($0.split(separator: "\"")[1].replacing("+Inf", with: "inf")) }
        #expect(bounds.min() == Double(bound.replacing("+Inf", with: "inf")))
        #expect(samples["zlh_edge_upstream_seconds_count"] == 0)
    }

    @Test func sumsAreInSeconds() throws {
        let metrics = Metrics(loops: 1)
        metrics[0].upstreamTime(microseconds: 1_500_000)
        metrics[0].upstreamTime(microseconds: 25)
        #expect(try render(metrics).samples["zlh_edge_upstream_seconds_sum"] == 1.500025)
    }

    @Test func gaugesOfTheProcess() throws {
        let metrics = Metrics(loops: 1)
        metrics.setSessions(7)
        metrics.setRoutes(.ide, 100_000)
        metrics.setRoutes(.minecraft, 3)
        metrics.setRoutesGeneration(42)
        metrics.setRouteConflicts(2)
        metrics.setSources(9)
        metrics.reload(.ok)
        metrics.reload(.refused)
        metrics.reload(.refused)
        metrics.setCertificates([
            .init(name: "a\"b\\c\nd", key: "rsa", notAfterEpochS: 1500, lifetimeS: 700),
            .init(name: "old", key: "rsa", notAfterEpochS: 1900, lifetimeS: 1),
            .init(name: "old", key: "rsa", notAfterEpochS: 900, lifetimeS: 2),
            .init(name: "old", key: "ecdsa", notAfterEpochS: 1200, lifetimeS: 3),
        ])
        metrics.setBackends([.init(route: "play", backend: "10.0.0.1:25577", up: true)])
        metrics.setBackend(route: "play", backend: "10.0.0.1:25577", up: false)
        metrics.setBackend(route: "play", backend: "unknown", up: false)
        let samples = try render(metrics).samples
        #expect(samples["zlh_edge_sessions"] == 7 && samples["zlh_edge_sources"] == 9)
        #expect(
            samples["zlh_edge_routes{kind=\"ide\"}"] == 100_000 && samples["zlh_edge_routes{kind=\"minecraft\"}"] == 3)
        #expect(samples["zlh_edge_routes_generation"] == 42 && samples["zlh_edge_route_conflicts"] == 2)
        #expect(samples["zlh_edge_reloads_total{result=\"refused\"}"] == 2)
        #expect(samples["zlh_edge_certificate_expiry_seconds{name=\"a\\\"b\\\\c\\nd\",key=\"rsa\"}"] == 500)
        #expect(samples["zlh_edge_certificate_expiry_seconds{name=\"old\",key=\"rsa\"}"] == -100)
        #expect(samples["zlh_edge_certificate_expiry_seconds{name=\"old\",key=\"ecdsa\"}"] == 200)
        #expect(samples["zlh_edge_certificate_lifetime_seconds{name=\"old\",key=\"rsa\"}"] == 2)
        #expect(samples["zlh_edge_backend_up{route=\"play\",backend=\"10.0.0.1:25577\"}"] == 0)
    }

    @Test func lagIsTheWorstOfTheLastHalfMinute() throws {
        let metrics = Metrics(loops: 2)
        let lag = { try #require(try self.render(metrics).samples["zlh_edge_loop_lag_seconds"]) }
        metrics[0].turned(nowMs: 100_000, lagMicroseconds: 200)
        metrics[1].turned(nowMs: 100_000, lagMicroseconds: 300)
        metrics[1].turned(nowMs: 101_000, lagMicroseconds: 100)
        #expect(try lag() == 0.0003)
        metrics[1].turned(nowMs: 115_000, lagMicroseconds: 50)
        #expect(try lag() == 0.0003)
        metrics[1].turned(nowMs: 130_000, lagMicroseconds: 40)
        metrics[0].turned(nowMs: 130_000, lagMicroseconds: -1)
        metrics[0].turned(nowMs: 145_000, lagMicroseconds: 1)
        #expect(try lag() == 0.00005)
    }

    @Test func aLoopThatDoesNotTurnIsNoticed() {
        let metrics = Metrics(loops: 2)
        #expect(metrics.stalledLoops(nowMs: 99_000) == 0)
        metrics[0].turned(nowMs: 100_000, lagMicroseconds: 0)
        metrics[1].turned(nowMs: 103_000, lagMicroseconds: 0)
        #expect(metrics.stalledLoops(nowMs: 104_999) == 0)
        #expect(metrics.stalledLoops(nowMs: 105_000) == 1)
        #expect(metrics.stalledLoops(nowMs: 200_000) == 2)
    }

    @Test func readinessNeedsRoutesAndNoDrain() {
        let metrics = Metrics(loops: 1)
        #expect(!metrics.isReady)
        metrics.setReady(true)
        #expect(metrics.isReady)
        metrics.setDraining(true)
        #expect(!metrics.isReady)
        metrics.setDraining(false)
        #expect(metrics.isReady)
    }

    @Test func loopsCountExactlySideBySide() async {
        let metrics = Metrics(loops: 4)
        await withTaskGroup(of: Void.self) { group in
            for loop in 0..<4 {
                group.addTask {
                    for _ in 0..<20_000 { metrics[loop].request(method: .get, code: 200, protocol: .http1) }
                    for _ in 0..<1000 { metrics.refused(.admin, .reloadRemoves) }
                }
            }
            group.addTask {
                for _ in 0..<20 { _ = bytes { metrics.render(into: &$0, nowEpochS: 0) } }
            }
        }
        #expect(metrics.requests == 80_000)
        #expect(metrics.refusals(.admin, .reloadRemoves) == 4000)
    }
}
