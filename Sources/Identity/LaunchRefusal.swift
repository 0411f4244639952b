/// Why a launch token starts no session.
public enum LaunchRefusal: Error, Sendable, CaseIterable {
    /// No JWS of ours: size, base64url, JSON, a header member that must not be there, a claim missing or mistyped.
    case malformed
    /// No key has the header's `kid`.
    case unknownKey
    /// The signature is not the key's, or the header's algorithm is not.
    case badSignature
    /// `iss`.
    case wrongIssuer
    /// `aud`.
    case wrongAudience
    /// `vmid` is not the one of this host, or one that cannot be.
    case wrongVMID
    /// `exp` has passed.
    case expired
    /// `nbf` or `iat` lies ahead.
    case notYetValid
    /// `exp` lies too far after `iat`.
    case lifetimeTooLong
    /// A session was started with it before.
    case alreadyUsed
    /// A revocation covers its session, user or container.
    case revoked
    /// Issued before the record of used tokens begins.
    case beforeStart

    /// One line for the person in front of the browser. It never tells which key or step of the check failed: that
    /// would only help whoever forges tokens.
    public var message: StaticString {
        switch self {
        case .malformed, .unknownKey, .badSignature, .wrongIssuer, .wrongAudience, .lifetimeTooLong:
            "This launch link is not valid."
        case .wrongVMID: "This launch link is for another container."
        case .expired: "This launch link has expired."
        case .notYetValid: "This launch link is not valid yet."
        case .alreadyUsed: "This launch link was already used."
        case .revoked: "Access with this launch link has been revoked."
        case .beforeStart: "This launch link was made before the gateway started; please open a new one."
        }
    }

    /// The value of the label `result` of `zlh_edge_launches_total`.
    public var metric: StaticString {
        switch self {
        case .malformed: "malformed"
        case .unknownKey: "unknown_key"
        case .badSignature: "bad_signature"
        case .wrongIssuer: "wrong_issuer"
        case .wrongAudience: "wrong_audience"
        case .wrongVMID: "wrong_vmid"
        case .expired: "expired"
        case .notYetValid: "not_yet_valid"
        case .lifetimeTooLong: "lifetime_too_long"
        case .alreadyUsed: "already_used"
        case .revoked: "revoked"
        case .beforeStart: "before_start"
        }
    }

    /// Whether it counts towards the penalty of `limits.penalty`: only a forgery. An unknown key is what honest
    /// people see while the edge waits for a new JWKS, and malformed may be a token of the container's own.
    public var isBadSignature: Bool { self == .badSignature }
}
