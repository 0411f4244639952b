/// Decides whether a launch token opens a container. A value: reloads make a new one. Any thread.
///
/// What it cannot know is left to the caller: the route's generation, spent tokens and revocations.
public struct LaunchVerifier: Sendable {
    let keys: KeySet
    /// What is expected of a token.
    public let policy: LaunchPolicy

    /// A verifier with these keys and expectations.
    public init(keys: KeySet, policy: LaunchPolicy) {
        self.keys = keys
        self.policy = policy
    }

    /// Checks `token` for the container whose host was asked for. `now` is in seconds since 1970.
    public func verify(_ token: borrowing Span<UInt8>, vmid: UInt32, now: Int64) -> Result<LaunchClaims, LaunchRefusal>
    {
        guard let jws = JWS.parse(token) else { return .failure(.malformed) }
        guard let key = keys.key(jws.keyID) else { return .failure(.unknownKey) }
        // The algorithm belongs to the key: `none`, or HS256 with a public key as its secret, ends here.
        guard key.algorithm.rawValue.utf8.elementsEqual(jws.algorithm.utf8),
            key.verifies(jws.signature, over: token.extracting(first: jws.signedCount))
        else { return .failure(.badSignature) }
        guard let payload = try? StrictJSON.parse(jws.payload, membersAtMost: 32),
            let (claims, audiences) = LaunchClaims.read(payload)
        else { return .failure(.malformed) }
        for check in LaunchCheck.allCases where !check.passes(claims, audiences, policy, vmid: vmid, now: now) {
            return .failure(check.refusal)
        }
        return .success(claims)
    }
}

/// The checks of the claims, in the order in which they decide.
enum LaunchCheck: String, CaseIterable {
    case issuer
    case audience
    case lifetime
    case vmid
    case notBefore
    case issuedAt
    case expiry
    case sessionEnd

    var refusal: LaunchRefusal {
        switch self {
        case .issuer: .wrongIssuer
        case .audience: .wrongAudience
        case .lifetime: .lifetimeTooLong
        case .vmid: .wrongVMID
        case .notBefore, .issuedAt: .notYetValid
        case .expiry, .sessionEnd: .expired
        }
    }

    /// `vmid` nil: any that can be.
    func passes(
        _ claims: LaunchClaims, _ audiences: [String], _ policy: LaunchPolicy, vmid: UInt32?, now: Int64
    ) -> Bool {
        // RFC 7519 section 4.1.3 and RFC 3986: identifiers are compared byte for byte, which Swift's `==` does not.
        switch self {
        case .issuer: claims.issuer.utf8.elementsEqual(policy.issuer.utf8)
        case .audience: audiences.contains { $0.utf8.elementsEqual(policy.audience.utf8) }
        case .lifetime: claims.expires - claims.issuedAt <= policy.lifetimeAtMost
        case .vmid: policy.vmids.contains(claims.vmid) && (vmid == nil || claims.vmid == vmid)
        case .notBefore: (claims.notBefore ?? 0) - now <= policy.skew
        case .issuedAt: claims.issuedAt - now <= policy.skew
        case .expiry: now - claims.expires < policy.skew
        case .sessionEnd: claims.sessionEnd.map { $0 > now } ?? true
        }
    }
}
