import Config
import Gateway
import Identity
import Limits
import MinecraftProxy
import Observe
import Routing
import Wire

/// From the operator's file to what each part takes.
extension EdgeConfig {
    func gatewaySettings(sendsHSTS: Bool) throws(StartFailure) -> GatewaySettings {
        guard let hosts = DevDomain(domain, vmids: ide.vmids) else {
            throw StartFailure("domain: \"\(domain)\" is not a domain name")
        }
        return GatewaySettings(
            domain: hosts, domainText: domain.lowercased(), loginURL: ide.loginURL, session: sessionLimits,
            limits: limits, sendsHSTS: sendsHSTS, compresses: ide.compression, logsAccess: log.access,
            trustedProxies: trustedProxies)
    }

    var minecraftSettings: MinecraftSettings {
        let health = minecraft.health
        let messages = minecraft.messages
        return MinecraftSettings(
            limits: limits,
            health: HealthSettings(
                intervalMs: health.intervalMs, timeoutMs: health.timeoutMs, fall: health.fall, rise: health.rise,
                slowStartMs: health.slowStartMs),
            messages: PlayerMessages(
                unknownHost: messages.unknownHost, offline: messages.offline, full: messages.full,
                draining: messages.draining, limited: messages.limited),
            logsPlayerNames: minecraft.logPlayerNames, logsAccess: log.access, trustedProxies: trustedProxies)
    }

    var sessionLimits: SessionLimits {
        SessionLimits(absolute: ide.session.absolute, idle: ide.session.idle)
    }

    var launchPolicy: LaunchPolicy {
        LaunchPolicy(
            issuer: ide.launch.issuer, audience: ide.launch.audience, lifetimeAtMost: ide.launch.lifetimeAtMost,
            skew: ide.launch.skew, vmids: ide.vmids)
    }

    var sourceSettings: SourceSettings {
        let https = limits.https
        let minecraft = limits.minecraft
        return SourceSettings(
            ipv4Bits: limits.source.ipv4, ipv6Bits: limits.source.ipv6, tracked: limits.source.tracked,
            places: max(1, connectionLimit / 2), exempt: limits.exempt,
            https: KindLimits(
                connections: https.connections, connectsPerSecond: https.connects.each,
                connectBurst: Double(https.burst),
                unauthenticated: TokenRate(
                    perSecond: https.unauthenticated.each, burst: Double(https.unauthenticatedBurst))),
            minecraft: KindLimits(
                connections: minecraft.connections, connectsPerSecond: minecraft.connects.each,
                connectBurst: Double(minecraft.burst),
                status: TokenRate(perSecond: minecraft.status.each, burst: Double(minecraft.statusBurst)),
                login: TokenRate(perSecond: minecraft.login.each, burst: Double(minecraft.loginBurst))),
            penaltyScore: Double(limits.penalty.score), halfLifeMs: Int64(limits.penalty.halfLifeMs),
            blockMs: Int64(limits.penalty.blockMs))
    }

    var connectionLimit: Int { limits.connections ?? descriptorBudget(SystemMemory.descriptorLimit()) }

    var memoryBudget: MemoryBudget { limits.memory.map { MemoryBudget(bytes: $0) } ?? SystemMemory.automaticBudget() }

    var logLevel: Observe.LogLevel { Observe.LogLevel(name: log.level.rawValue) ?? .info }
}

extension Rate {
    /// Per second.
    fileprivate var each: Double { Double(count) / perSeconds }
}

extension Revocations.Rule {
    init(_ rule: RevocationRule) {
        switch rule {
        case .session(let id): self = .session(id)
        case .user(let name, let before): self = .user(name, before: before)
        case .vmid(let vmid, let before): self = .vmid(vmid, before: before)
        }
    }
}
