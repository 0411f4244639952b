import Synchronization
public import Wire

extension Metrics {
    /// The media type of what `render` writes.
    public static var contentType: StaticString { "text/plain; version=0.0.4; charset=utf-8" }

    /// Appends all metrics as Prometheus text. `nowEpochS` is wall-clock time in seconds, for what is left of the
    /// certificates. Takes some hundred microseconds and reads `/proc`.
    public func render(into buffer: inout ByteBuffer, nowEpochS: Int64) {
        var text = MetricsText(exchange(&buffer, with: ByteBuffer()))
        renderRequests(&text)
        renderConnections(&text)
        renderRefusals(&text)
        renderMinecraft(&text)
        renderRoutes(&text)
        renderState(&text, nowEpochS: nowEpochS)
        renderProcess(&text)
        buffer = text.finish()
    }
}

// MARK: By part

extension Metrics {
    private func renderRequests(_ text: inout MetricsText) {
        text.metric("zlh_edge_requests_total", "counter", "Requests answered.")
        for version in HTTPProtocol.allCases {
            for method in (0..<UInt8(Layout.methods)).compactMap(Method.init(rawValue:)) {
                for code in 100..<100 + Layout.codes {
                    let count = sum(Layout.request(method, code, version))
                    if count == 0 { continue }
                    text.sample()
                    text.label("method", method.name)
                    text.label("code", code)
                    text.label("protocol", version.label)
                    text.value(count)
                }
            }
        }
        text.metric("zlh_edge_request_seconds", "histogram", "Time from a request's first byte to its answer's last.")
        renderHistogram(&text, Layout.requestTime)
        text.metric("zlh_edge_upstream_seconds", "histogram", "Time until the head of the container's answer.")
        renderHistogram(&text, Layout.upstreamTime)
    }

    private func renderHistogram(_ text: inout MetricsText, _ cells: Int) {
        var cumulative: UInt64 = 0
        for bucket in 0..<Buckets.count {
            cumulative &+= sum(cells + bucket)
            text.sample(suffix: "_bucket")
            text.bound(Buckets.bound(bucket))
            text.value(cumulative)
        }
        text.sample(suffix: "_sum")
        text.value(microseconds: sum(cells + Buckets.count))
        text.sample(suffix: "_count")
        text.value(cumulative)
    }

    private func renderConnections(_ text: inout MetricsText) {
        text.metric("zlh_edge_connections", "gauge", "Client connections open now.")
        for listener in ListenerLabel.fronts {
            text.sample()
            text.label("listener", listener.label)
            text.value(UInt64(clamping: connections(listener)))
        }
        text.metric("zlh_edge_tunnels", "gauge", "Tunnels open now.")
        for kind in TunnelKind.allCases {
            text.sample()
            text.label("kind", kind.label)
            text.value(UInt64(clamping: tunnels(kind)))
        }
        text.metric("zlh_edge_bytes_total", "counter", "Bytes received from and sent to clients.")
        for listener in ListenerLabel.fronts {
            for direction in Direction.allCases {
                text.sample()
                text.label("listener", listener.label)
                text.label("direction", direction.label)
                text.value(bytes(listener, direction))
            }
        }
        text.metric("zlh_edge_tls_handshakes_total", "counter", "TLS handshakes ended.")
        for version in TLSVersionLabel.allCases {
            for resumed in [false, true] {
                for result in HandshakeResult.allCases {
                    let count = sum(Layout.handshake(version, resumed, result))
                    let expected = version == .none ? !resumed && result != .ok : result == .ok
                    if count == 0, !expected { continue }
                    text.sample()
                    text.label("version", version.label)
                    text.label("resumed", resumed ? "true" : "false")
                    text.label("result", result.label)
                    text.value(count)
                }
            }
        }
    }

    private func renderRefusals(_ text: inout MetricsText) {
        text.metric("zlh_edge_launches_total", "counter", "Launch tokens presented.")
        for result in LaunchResult.allCases {
            text.sample()
            text.label("result", result.label)
            text.value(sum(Layout.launches + Int(result.rawValue)))
        }
        text.metric("zlh_edge_refused_total", "counter", "What was refused or cut short, by limit or error.")
        for listener in ListenerLabel.allCases {
            for reason in RefusalReason.allCases {
                let count = refusals(listener, reason)
                if count == 0, !reason.isExpected(at: listener) { continue }
                text.sample()
                text.label("listener", listener.label)
                text.label("reason", reason.label)
                text.value(count)
            }
        }
    }

    private func renderMinecraft(_ text: inout MetricsText) {
        text.metric("zlh_edge_minecraft_connections_total", "counter", "Minecraft handshakes served or refused.")
        for intent in MinecraftIntent.allCases {
            for result in MinecraftResult.allCases {
                let count = sum(Layout.minecraft(intent, result))
                if count == 0, intent == .none || result != .ok { continue }
                text.sample()
                text.label("intent", intent.label)
                text.label("result", result.label)
                text.value(count)
            }
        }
        let backends = named.withLock { $0.backends }
        text.metric("zlh_edge_backend_up", "gauge", "Whether a backend is in rotation.")
        for backend in backends {
            text.sample()
            text.label("route", text: backend.route)
            text.label("backend", text: backend.backend)
            text.value(backend.up ? 1 : 0)
        }
    }

    private func renderRoutes(_ text: inout MetricsText) {
        text.metric("zlh_edge_routes", "gauge", "Routes in the snapshot that serves.")
        for kind in RouteKind.allCases {
            text.sample()
            text.label("kind", kind.label)
            text.value(shared[Shared.routes + Int(kind.rawValue)])
        }
        text.gauge("zlh_edge_routes_generation", "Number of the snapshot that serves.", shared[Shared.generation])
        text.gauge("zlh_edge_route_conflicts", "IDE routes that share an address.", shared[Shared.conflicts])
        text.metric("zlh_edge_reloads_total", "counter", "Reloads of the routes or the configuration.")
        for result in ReloadResult.allCases {
            text.sample()
            text.label("result", result.label)
            text.value(shared[Shared.reloads + Int(result.rawValue)])
        }
    }

    private func renderState(_ text: inout MetricsText, nowEpochS: Int64) {
        text.gauge("zlh_edge_sessions", "Live IDE sessions.", shared[Shared.sessions])
        text.gauge(
            "zlh_edge_state_failed", "Whether something under `state` cannot be written.", shared[Shared.stateFailed])
        text.gauge("zlh_edge_sources", "Sources remembered for the limits.", shared[Shared.sources])
        text.gauge("zlh_edge_ready", "Whether /readyz says 200.", isReady ? 1 : 0)
        let certificates = named.withLock { $0.certificates }
        text.metric("zlh_edge_certificate_expiry_seconds", "gauge", "Seconds until a certificate expires.")
        for certificate in certificates {
            text.sample(certificate)
            text.value(signed: certificate.notAfterEpochS.subtractingReportingOverflow(nowEpochS).partialValue)
        }
        text.metric("zlh_edge_certificate_lifetime_seconds", "gauge", "Seconds a certificate is valid in all.")
        for certificate in certificates {
            text.sample(certificate)
            text.value(signed: certificate.lifetimeS)
        }
        text.metric("zlh_edge_loop_lag_seconds", "gauge", "Longest delay of any event loop in the last 15 to 30 s.")
        text.sample()
        text.value(microseconds: loops.reduce(0) { max($0, $1.worstLag) })
        text.metric("zlh_edge_log_dropped_total", "counter", "Log lines dropped because standard output was slow.")
        text.sample()
        text.value(log?.dropped ?? 0)
    }

    private func renderProcess(_ text: inout MetricsText) {
        let process = ProcessStatistics()
        text.metric("process_cpu_seconds_total", "counter", "CPU time, user and system.")
        text.sample()
        text.value(microseconds: process.cpuMicroseconds)
        text.gauge("process_resident_memory_bytes", "Memory in RAM.", process.residentBytes)
        text.gauge("process_virtual_memory_bytes", "Address space.", process.virtualBytes)
        text.gauge("process_open_fds", "Open descriptors.", process.openDescriptors)
        text.gauge("process_max_fds", "Descriptors allowed.", process.maximumDescriptors)
        text.gauge("process_threads", "Threads.", process.threads)
        text.metric("process_start_time_seconds", "gauge", "Start of the process, since 1970.")
        text.sample()
        text.value(microseconds: process.startEpochMs &* 1000)
    }
}

extension MetricsText {
    fileprivate mutating func sample(_ certificate: Metrics.Certificate) {
        sample()
        label("name", text: certificate.name)
        label("key", text: certificate.key)
    }

    /// A gauge without labels.
    fileprivate mutating func gauge(_ name: StaticString, _ help: StaticString, _ number: UInt64) {
        metric(name, "gauge", help)
        sample()
        value(number)
    }
}
