import Limits
import Wire

extension LimitSettings {
    /// Reads the `limits` section over the defaults.
    mutating func read(_ limits: inout Section) {
        readHTTP(&limits)
        readUpstream(&limits)
        readSources(&limits)
        limits.milliseconds("response_stall", &responseStallMs)
        limits.milliseconds("keep_alive", &keepAliveMs)
        limits.size("buffer", &buffer, 4 << 10...16 << 20)
        limits.parsed("memory", &memory, "auto, or a size from 16m such as 2g") {
            Self.auto(Quantity.bytes, 16 << 20, $0)
        }
        limits.parsed("connections", &connections, "auto, or a number from 16") { Self.auto(Quantity.integer, 16, $0) }
        limits.parsed("reload_removes", &reloadRemoves, "a share from 0% to 100%", Quantity.percent)
        limits.milliseconds("drain", &drainMs, 0...3_600_000)
        limits.milliseconds("upgrade_linger", &upgradeLingerMs, 0...Section.longestMs)
        limits.list("exempt", &exempt, "a block such as 10.0.0.0/8") { CIDR($0) }
        limits.finish()
    }

    private mutating func readHTTP(_ limits: inout Section) {
        var section = limits.section("headers")
        section.size("bytes", &headers.bytes, 128...1 << 20)
        section.integer("fields", &headers.fields, 1...1000)
        section.milliseconds("timeout", &headers.timeoutMs)
        section.finish()

        section = limits.section("framing")
        section.size("chunk_extension", &framing.chunkExtension, 0...64 << 10)
        section.size("extensions", &framing.extensions, 0...1 << 20)
        section.size("trailers", &framing.trailers, 0...1 << 20)
        section.integer("empty_lines", &framing.emptyLines, 0...1000)
        section.finish()

        section = limits.section("body")
        section.size("minimum_rate", &body.minimumRate, 0...1 << 30)
        section.milliseconds("over", &body.overMs)
        section.finish()

        section = limits.section("tls")
        section.milliseconds("handshake", &tls.handshakeMs)
        section.rate("key_updates", &tls.keyUpdates)
        section.finish()

        section = limits.section("http2")
        section.integer("streams", &http2.streams, 1...10_000)
        section.rate("abuse", &http2.abuse)
        section.size("window", &http2.window, 64 << 10...1 << 30)
        section.size("queued", &http2.queued, 16 << 10...64 << 20)
        section.integer("per_turn", &http2.perTurn, 1...10_000)
        section.finish()
    }

    private mutating func readUpstream(_ limits: inout Section) {
        var section = limits.section("upstream")
        section.milliseconds("connect", &upstream.connectMs)
        section.milliseconds("response", &upstream.responseMs)
        section.size("head", &upstream.head, 128...1 << 20)
        section.integer("fields", &upstream.fields, 1...1000)
        section.integer("interim", &upstream.interim, 0...1000)
        section.milliseconds("idle", &upstream.idleMs, 0...Section.longestMs)
        section.integer("per_vmid", &upstream.perVMID, 1...65_536)
        section.integer("queue", &upstream.queue, 0...1_000_000)
        section.integer("streams_per_vmid", &upstream.streamsPerVMID, 1...1_000_000)
        section.finish()

        section = limits.section("tunnel_idle")
        section.milliseconds("websocket", &tunnelIdle.websocketMs, 0...Section.longestMs)
        section.milliseconds("minecraft", &tunnelIdle.minecraftMs, 0...Section.longestMs)
        section.finish()
    }

    private mutating func readSources(_ limits: inout Section) {
        var section = limits.section("source")
        section.integer("ipv4", &source.ipv4, 8...32)
        section.integer("ipv6", &source.ipv6, 16...128)
        section.integer("tracked", &source.tracked, 16...16 << 20)
        section.finish()

        section = limits.section("https")
        section.integer("connections", &https.connections, 1...1_000_000)
        section.rate("connects", &https.connects)
        section.integer("burst", &https.burst, 1...1_000_000)
        section.rate("unauthenticated", &https.unauthenticated)
        section.integer("unauthenticated_burst", &https.unauthenticatedBurst, 1...1_000_000)
        section.finish()

        section = limits.section("minecraft")
        section.integer("connections", &minecraft.connections, 1...1_000_000)
        section.rate("connects", &minecraft.connects)
        section.integer("burst", &minecraft.burst, 1...1_000_000)
        section.rate("status", &minecraft.status)
        section.integer("status_burst", &minecraft.statusBurst, 1...1_000_000)
        section.rate("login", &minecraft.login)
        section.integer("login_burst", &minecraft.loginBurst, 1...1_000_000)
        section.milliseconds("handshake", &minecraft.handshakeMs)
        section.finish()

        section = limits.section("penalty")
        section.integer("score", &penalty.score, 1...1_000_000)
        section.milliseconds("half_life", &penalty.halfLifeMs)
        section.milliseconds("block", &penalty.blockMs)
        section.finish()
    }

    /// `auto` as a present nil, a number of at least `least`, or nil for what is neither.
    private static func auto(_ parse: (String) -> Int?, _ least: Int, _ text: String) -> Int?? {
        if text == "auto" { return .some(nil) }
        guard let value = parse(text), value >= least else { return nil }
        return value
    }
}
