/// What this gateway expects of a launch token, from `ide.launch` and `ide.vmids`. Durations are seconds.
public struct LaunchPolicy: Sendable, Equatable {
    /// The only accepted `iss`.
    public var issuer: String
    /// What `aud` must be or contain.
    public var audience: String
    /// The most that `exp` may lie after `iat`.
    public var lifetimeAtMost: Int64
    /// How far the issuer's clock may be off, either way.
    public var skew: Int64
    /// The containers there can be.
    public var vmids: ClosedRange<UInt32>

    /// All of it by name; the defaults are the configuration's.
    public init(
        issuer: String = "zlh-api", audience: String = "zlh-edge", lifetimeAtMost: Int64 = 300, skew: Int64 = 30,
        vmids: ClosedRange<UInt32> = 1...999_999_999
    ) {
        self.issuer = issuer
        self.audience = audience
        self.lifetimeAtMost = lifetimeAtMost
        self.skew = skew
        self.vmids = vmids
    }
}
