import Limits
import Observe
import Reactor
import Routing
import Synchronization
import Transport
import Wire

extension PlayerConnection {
    // MARK: Modern

    /// Takes a token for a status, or refuses.
    func takeStatusToken() -> Bool {
        let messages = worker.settings.messages
        if let seconds = isOverLimit {
            refuseStatus(messages.limited.waiting(seconds), .limited, .minecraftConnects)
            return false
        }
        guard let waitMs = worker.shared.sources.takeStatus(peer.address, nowMs: Int64(worker.nowMs)) else {
            return true
        }
        worker.metrics.refused(.minecraft, .minecraftStatus)
        refuseStatus(messages.limited.waiting(waitSeconds(waitMs)), .limited, .minecraftStatus)
        return false
    }

    /// A status request has come: whose, and who answers?
    func placeStatus() {
        guard takeStatusToken() else { return }
        guard let found = worker.inForce.route(for: host) else {
            worker.penalise(peer.address, .unknownHost)
            return refuseStatus(worker.settings.messages.unknownHost, .unknownHost, .notFound)
        }
        route = found
        if worker.isDraining { return refuseStatus(worker.settings.messages.draining, .draining, .drain) }
        answerStatus()
    }

    /// The route as it is now: a reload may have changed it while the client waited.
    private func takeCurrentRoute() -> RouteState? {
        guard let found = worker.inForce.route(for: host) else {
            handshake == nil
                ? sayLegacy(worker.settings.messages.unknownHost, .unknownHost, .notFound)
                : refuseStatus(worker.settings.messages.unknownHost, .unknownHost, .notFound)
            return nil
        }
        route = found
        return found
    }

    private func answerStatus() {
        guard let version = handshake?.protocolVersion else { return close() }
        guard let route = takeCurrentRoute() else { return }
        if route.absence == .draining {
            return refuseStatus(worker.settings.messages.draining, .draining, .drain)
        }
        let timeoutMs = UInt64(max(1, worker.settings.health.timeoutMs))
        let decision = route.status.withLock {
            $0.look(
                version, loop: worker.index, canDial: route.absence == nil, timeoutMs: timeoutMs, nowMs: worker.nowMs)
        }
        switch decision {
        case .fetch, .wait:
            phase = .waiting
            watch(worker.nowMs + 2 * timeoutMs)
            worker.wait(self, for: route.route.host)
            if case .fetch = decision { worker.fetchStatus(route, version, host: fetchHost(route)) }
        default: serve(decision)
        }
    }

    /// The name a backend is asked by: the route's own, unless that stands for many.
    private func fetchHost(_ route: RouteState) -> String {
        if !route.route.host.hasPrefix("*") { return route.route.host }
        if case .name(let name) = host { return name }
        return "localhost"
    }

    /// The fetch that this client waited for is over.
    func statusReady(_ ok: Bool) {
        guard phase == .waiting else { return }
        // A backend that left the route while it was asked says nothing about those that are in it now.
        let hasOthers = worker.inForce.route(for: host)?.status !== route?.status
        if ok || hasOthers { handshake == nil ? serveLegacyNow() : answerStatus() } else { serveFallback() }
    }

    /// Nobody answers, or not in time.
    func serveFallback() {
        if handshake == nil { return serveLegacyNow() }
        guard let route = takeCurrentRoute() else { return }
        serve(route.status.withLock { $0.fallback })
    }

    private func serve(_ decision: StatusCache.Decision) {
        let version = handshake?.protocolVersion ?? 0
        switch decision {
        case .fresh(let answer):
            record.finish(.ok, nil)
            var packet = ByteBuffer(capacity: answer.json.count + 16)
            MinecraftReply.appendStatus(json: answer.json.span, to: &packet)
            sendStatus(packet)
        case .other(let answer):
            record.finish(.ok, nil)
            send(answer, version, description: nil)
        case .stale(let answer):
            let text = route?.route.offlineMotd ?? worker.settings.messages.offline
            guard let answer, MinecraftStatus(answer.json.span) != nil else {
                return refuseStatus(text, .offline, .unreachable)
            }
            record.finish(.offline, .unreachable)
            send(answer, version, description: text.json)
        case .fetch, .wait: serveFallback()
        }
    }

    private func send(_ answer: StatusCache.Answer, _ version: Int32, description: String?) {
        var json = ByteBuffer(capacity: answer.json.count + 64)
        if let status = MinecraftStatus(answer.json.span) {
            status.append(answer.json.span, protocolVersion: version, description: description, to: &json)
        } else {
            json.append(answer.json.span)
        }
        var packet = ByteBuffer(capacity: json.count + 16)
        json.withReadable { MinecraftReply.appendStatus(json: $0, to: &packet) }
        sendStatus(packet)
    }

    // MARK: Before 1.7

    /// A legacy ping: the same decisions, in the old words.
    func serveLegacy(_ ping: MinecraftLegacyPing) {
        record.intent = .legacy
        legacyPing = ping
        let messages = worker.settings.messages
        if let range = ping.hostRange { host = inbound.withReadable { MinecraftHost.readUTF16($0, range) } }
        if let seconds = isOverLimit {
            return sayLegacy(messages.limited.waiting(seconds), .limited, .minecraftConnects)
        }
        if let waitMs = worker.shared.sources.takeStatus(peer.address, nowMs: Int64(worker.nowMs)) {
            worker.metrics.refused(.minecraft, .minecraftStatus)
            return sayLegacy(messages.limited.waiting(waitSeconds(waitMs)), .limited, .minecraftStatus)
        }
        guard let found = worker.inForce.route(for: host) else {
            if ping.hostRange != nil { worker.penalise(peer.address, .unknownHost) }
            return sayLegacy(messages.unknownHost, .unknownHost, .notFound)
        }
        route = found
        switch found.absence {
        case .draining: return sayLegacy(messages.draining, .draining, .drain)
        case .offline: return sayLegacy(found.route.offlineMotd ?? messages.offline, .offline, .unreachable)
        case nil: break
        }
        let version = HealthMonitor.protocolVersion
        let timeoutMs = UInt64(max(1, worker.settings.health.timeoutMs))
        let decision = found.status.withLock {
            $0.lookForAny(version, loop: worker.index, timeoutMs: timeoutMs, nowMs: worker.nowMs)
        }
        switch decision {
        case .fetch, .wait:
            phase = .waiting
            watch(worker.nowMs + 2 * timeoutMs)
            worker.wait(self, for: found.route.host)
            if case .fetch = decision { worker.fetchStatus(found, version, host: fetchHost(found)) }
        default: serveLegacyNow()
        }
    }

    private func serveLegacyNow() {
        guard let ping = legacyPing else { return close() }
        guard let route = takeCurrentRoute() else { return }
        let text = route.route.offlineMotd ?? worker.settings.messages.offline
        guard route.absence == nil, let answer = route.status.withLock({ $0.current(nowMs: worker.nowMs) }),
            let status = MinecraftStatus(answer.json.span)
        else { return sayLegacy(text, .offline, .unreachable) }
        record.finish(.ok, nil)
        let json = answer.json.span
        var packet = ByteBuffer(capacity: 512)
        MinecraftReply.appendLegacyStatus(
            ping, version: status.plainText(json, status.versionNameRange),
            motd: status.plainText(json, status.descriptionRange), online: status.number(json, status.onlineRange),
            maximum: status.number(json, status.maximumRange), to: &packet)
        say(packet)
    }

    /// A ping's answer without players: the text as its line.
    private func sayLegacy(_ text: ChatText, _ result: MinecraftResult, _ reason: RefusalReason) {
        record.finish(result, reason)
        guard let ping = legacyPing, mayRefuse() else { return close() }
        var packet = ByteBuffer(capacity: 512)
        MinecraftReply.appendLegacyStatus(
            ping, version: "ZeroLagHub", motd: text.plainText, online: 0, maximum: 0, to: &packet)
        say(packet)
    }
}
