import Gateway
import LocalServer
import Observe
import Reactor
import Wire

/// `/metrics`, `/healthz` and `/readyz`, on threads of their own, so that they answer even when a loop does not.
struct HealthPages: LocalHandler {
    let metrics: Metrics
    let shared: GatewayShared

    func respond(to request: LocalRequest, on connection: LocalConnection) throws {
        guard request.method == "GET" || request.method == "HEAD" else {
            return try connection.respond(status: 405, headers: [("allow", "GET, HEAD")], body: "GET or HEAD only\n")
        }
        switch request.path {
        case "/metrics":
            var text = ByteBuffer(capacity: 64 * 1024)
            metrics.render(into: &text, nowEpochS: Clock.epochMs() / 1000)
            try connection.respond(
                status: 200, contentType: "\(Metrics.contentType)", body: text.withReadable { $0.copied() })
        case "/healthz":
            let stalled = metrics.stalledLoops(nowMs: Int64(Clock.monotonicMs()))
            try connection.respond(
                status: stalled == 0 ? 200 : 503, body: stalled == 0 ? "ok\n" : "\(stalled) event loops do not turn\n")
        case "/readyz":
            let ready = metrics.isReady
            try connection.respond(status: ready ? 200 : 503, body: ready ? "ok\n" : "draining, or no routes\n")
        default: try connection.respond(status: 404, body: "try /metrics, /healthz or /readyz\n")
        }
    }
}
