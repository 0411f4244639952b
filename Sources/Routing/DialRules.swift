public import Wire

/// What may be dialled at all, whatever a file or a request says.
public struct DialRules: Sendable {
    /// The agent in each container; nobody outside the control plane speaks to it.
    public static let agentPort: UInt16 = 18888

    private let upstreams: [CIDR]
    private let listeners: Set<Endpoint>
    /// Ports on which every local address of the family is ours.
    private let wildcardPortsIPv4: Set<UInt16>
    private let wildcardPortsIPv6: Set<UInt16>
    private let localAddresses: Set<IPAddress>

    /// Rules for blocks that may be dialled and the gateway's own listeners; `localAddresses` are those of this
    /// machine's interfaces, loopback not needed.
    public init(upstreams: [CIDR], listeners: [Endpoint], localAddresses: Set<IPAddress> = []) {
        self.upstreams = upstreams
        self.listeners = Set(listeners)
        let wildcards = listeners.filter(\.address.isUnspecified)
        wildcardPortsIPv4 = Set(wildcards.filter(\.address.isIPv4).map(\.port))
        wildcardPortsIPv6 = Set(wildcards.filter { !$0.address.isIPv4 }.map(\.port))
        self.localAddresses = localAddresses
    }

    /// Why `endpoint` is never dialled and how to mend that, to follow the endpoint in a sentence; nil when it may be.
    public func refusal(of endpoint: Endpoint) -> String? {
        let address = endpoint.address
        if endpoint.port == 0 { return "has no port; ports are 1 to 65535" }
        if endpoint.port == Self.agentPort { return "is the agent's port, which is never dialled; use another port" }
        if address.isUnspecified { return "stands for this machine; write the container's address" }
        if isOurs(endpoint) { return "is the gateway's own listener; write the container's address" }
        if address.isMulticast { return "is a multicast or broadcast address; write the container's" }
        // A block that merely spans loopback, such as 0.0.0.0/0, does not list it.
        let isListed = upstreams.contains { $0.contains(address) && (!address.isLoopback || $0.base.isLoopback) }
        return isListed ? nil : "is outside \"upstreams\"; mend the address, or list its block there"
    }

    private func isOurs(_ endpoint: Endpoint) -> Bool {
        if listeners.contains(endpoint) { return true }
        let address = endpoint.address
        guard address.isLoopback || localAddresses.contains(address) else { return false }
        return (address.isIPv4 ? wildcardPortsIPv4 : wildcardPortsIPv6).contains(endpoint.port)
    }
}

extension IPAddress {
    /// `224.0.0.0/4`, the limited broadcast address, or `ff00::/8`.
    fileprivate var isMulticast: Bool {
        isIPv4 ? ipv4 >> 28 == 14 || ipv4 == .max : high >> 56 == 0xff
    }
}
