/// What a launch token says, after its signature was found good. Times are seconds since 1970.
public struct LaunchClaims: Sendable, Equatable {
    /// `iss`: who issued it.
    public var issuer: String
    /// `sub`: the user.
    public var subject: String
    /// `vmid`: the one container it opens.
    public var vmid: UInt32
    /// `jti`: names this token; it starts one session.
    public var tokenID: String
    /// `iat`.
    public var issuedAt: Int64
    /// `exp`.
    public var expires: Int64
    /// `nbf`.
    public var notBefore: Int64?
    /// `gen`: the generation of the route it is meant for; checked by whoever knows the routes.
    public var generation: String?
    /// `sid`: the id of the session to start; random when absent.
    public var sessionID: String?
    /// `sabs`: when the session ends at the latest.
    public var sessionEnd: Int64?

    /// All claims by name.
    public init(
        issuer: String, subject: String, vmid: UInt32, tokenID: String, issuedAt: Int64, expires: Int64,
        notBefore: Int64? = nil, generation: String? = nil, sessionID: String? = nil, sessionEnd: Int64? = nil
    ) {
        self.issuer = issuer
        self.subject = subject
        self.vmid = vmid
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.expires = expires
        self.notBefore = notBefore
        self.generation = generation
        self.sessionID = sessionID
        self.sessionEnd = sessionEnd
    }
}

extension LaunchClaims {
    /// The claims and the audiences of a payload; nil when a required one is missing or one has the wrong type.
    static func read(_ payload: JSONValue) -> (claims: LaunchClaims, audiences: [String])? {
        guard let issuer = payload["iss"]?.plainText, let subject = payload["sub"]?.plainText,
            let tokenID = payload["jti"]?.plainText, let vmid = payload["vmid"]?.integer.flatMap(UInt32.init(exactly:)),
            let issuedAt = payload["iat"]?.time, let expires = payload["exp"]?.time,
            let audiences = payload["aud"]?.audiences
        else { return nil }
        var claims = LaunchClaims(
            issuer: issuer, subject: subject, vmid: vmid, tokenID: tokenID, issuedAt: issuedAt, expires: expires)
        if let value = payload["nbf"] {
            guard let time = value.time else { return nil }
            claims.notBefore = time
        }
        if let value = payload["gen"] {
            guard let text = value.plainText else { return nil }
            claims.generation = text
        }
        if let value = payload["sid"] {
            guard let text = value.plainText else { return nil }
            claims.sessionID = text
        }
        if let value = payload["sabs"] {
            guard let time = value.time else { return nil }
            claims.sessionEnd = time
        }
        return (claims, audiences)
    }

    /// The payload that says this to `audience`.
    func payload(audience: String) -> JSONValue {
        JSONValue([
            ("iss", .string(issuer)), ("aud", .string(audience)), ("sub", .string(subject)),
            ("vmid", .integer(Int64(vmid))), ("jti", .string(tokenID)), ("iat", .integer(issuedAt)),
            ("exp", .integer(expires)), ("nbf", notBefore.map(JSONValue.integer)),
            ("gen", generation.map(JSONValue.string)), ("sid", sessionID.map(JSONValue.string)),
            ("sabs", sessionEnd.map(JSONValue.integer)),
        ])
    }
}

extension JSONValue {
    /// Text that may stand in logs, files and headers: not empty, no control characters.
    fileprivate var plainText: String? {
        guard let text = string, !text.isEmpty,
            text.unicodeScalars.allSatisfy({ $0.value >= 0x20 && !(0x7f...0x9f).contains($0.value) })
        else { return nil }
        return text
    }

    /// A NumericDate (RFC 7519 section 2), which may have a fraction, as the second it lies in: from 1970 to the year 9999,
    /// so that sums of a few cannot overflow.
    fileprivate var time: Int64? {
        let latest: Int64 = 253_402_300_799
        switch self {
        case .integer(let value): return (0...latest).contains(value) ? value : nil
        case .number(let text):
            guard let value = Double(text), value >= 0, value < Double(latest + 1) else { return nil }
            return Int64(value)
        default: return nil
        }
    }

    /// RFC 7519 section 4.1.3: one string, or an array of them.
    fileprivate var audiences: [String]? {
        if let one = string { return [one] }
        guard let elements = array else { return nil }
        let names = elements.compactMap(\.string)
        return names.count == elements.count ? names : nil
    }
}
