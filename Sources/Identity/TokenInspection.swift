import Wire

/// A launch token laid open for a person who may know everything: what it says, and how each check went. For
/// `zlh-edge token inspect`, never for an answer to a browser.
public struct TokenInspection: Sendable {
    /// How a check went.
    public enum Outcome: String, Sendable {
        /// It holds.
        case pass
        /// It does not, and the gateway refuses the token.
        case fail
        /// It could not be made, for want of keys or because an earlier one failed.
        case skipped
    }

    /// One check.
    public struct Check: Sendable {
        /// What was looked at, one word.
        public let name: String
        /// How it went.
        public let outcome: Outcome
        /// What was found, one line.
        public let detail: String
    }

    /// The header as JSON, when it can be read.
    public internal(set) var header: String?
    /// The claims as JSON, when they can be read; believe them only if the signature check passed.
    public internal(set) var claims: String?
    /// All checks, in the order in which the gateway makes them.
    public internal(set) var checks: [Check] = []
    /// What the gateway would refuse it with, before it looks at routes, used tokens and revocations; nil: nothing.
    public internal(set) var refusal: LaunchRefusal?

    /// All of it as one JSON object.
    public var json: String {
        let list = checks.map {
            JSONValue([
                ("check", .string($0.name)), ("outcome", .string($0.outcome.rawValue)), ("detail", .string($0.detail)),
            ])
        }
        let members = [
            "\"header\":\(header ?? "null")", "\"claims\":\(claims ?? "null")",
            "\"checks\":\(JSONValue.array(list).text)",
            "\"refusal\":\(refusal.map { "\"\($0.metric)\"" } ?? "null")",
        ]
        return "{" + members.joined(separator: ",") + "}"
    }

    mutating func note(_ name: String, _ passes: Bool, _ detail: String, else refusal: LaunchRefusal) {
        checks.append(Check(name: name, outcome: passes ? .pass : .fail, detail: detail))
        if !passes, self.refusal == nil { self.refusal = refusal }
    }

    mutating func skip(_ name: String, _ why: String) {
        checks.append(Check(name: name, outcome: .skipped, detail: why))
    }
}

extension LaunchVerifier {
    /// Lays `token` open at `now`; `vmid` nil: any container's host.
    public func inspect(_ token: String, vmid: UInt32?, now: Int64) -> TokenInspection {
        Self.inspect(token, verifier: self, vmid: vmid, now: now)
    }

    /// Lays `token` open when neither keys nor expectations are known.
    public static func decode(_ token: String) -> TokenInspection {
        inspect(token, verifier: nil, vmid: nil, now: 0)
    }

    private static func inspect(
        _ token: String, verifier: LaunchVerifier?, vmid: UInt32?, now: Int64
    ) -> TokenInspection {
        let bytes = Array(token.utf8)
        var out = TokenInspection()
        let payload = out.readForm(bytes)
        let jws = JWS.parse(bytes.span)
        out.note(
            "header", jws != nil, jws.map { "alg \(shown($0.algorithm)), kid \(shown($0.keyID))" } ?? out.headerFault,
            else: .malformed)
        out.checkSignature(jws, bytes, verifier)
        let read = payload.flatMap(LaunchClaims.read)
        out.note(
            "claims", read != nil,
            read != nil
                ? "all there"
                : "iss, aud, sub, vmid, jti, iat and exp are required; times are numbers, vmid a whole one",
            else: .malformed)
        guard let read else { return out }
        for check in LaunchCheck.allCases {
            guard let verifier else {
                out.skip(check.rawValue, "no configuration given")
                continue
            }
            let passes = check.passes(read.claims, read.audiences, verifier.policy, vmid: vmid, now: now)
            out.note(
                check.rawValue, passes, check.detail(read.claims, read.audiences, verifier.policy, vmid, now),
                else: check.refusal)
        }
        return out
    }
}

extension TokenInspection {
    /// Fills in header and claims as far as they can be read, and returns the claims.
    fileprivate mutating func readForm(_ bytes: [UInt8]) -> JSONValue? {
        note(
            "size", bytes.count <= JWS.sizeAtMost, "\(bytes.count) bytes of at most \(JWS.sizeAtMost)",
            else: .malformed)
        guard let parts = JWS.split(bytes.span) else {
            note("form", false, "not three parts with dots between them", else: .malformed)
            return nil
        }
        let decoded = [parts.header, parts.payload, parts.signature].map {
            Base64URL.decode(bytes.span.extracting($0))
        }
        note(
            "form", !decoded.contains(nil),
            decoded.contains(nil) ? "a part is not canonical base64url" : "three parts of base64url", else: .malformed)
        let json = decoded.prefix(2).map { $0.flatMap { try? StrictJSON.parse($0, membersAtMost: 32) } }
        header = json[0]?.text
        claims = json[1]?.text
        return json[1]
    }

    fileprivate var headerFault: String {
        header == nil
            ? "not a JSON object by our rules (duplicates, depth, UTF-8)"
            : "needs text in \"alg\" and \"kid\"; may not hold crit, jku, x5u or jwk"
    }

    fileprivate mutating func checkSignature(_ jws: JWS?, _ bytes: [UInt8], _ verifier: LaunchVerifier?) {
        guard let jws, let verifier else {
            for name in ["key", "algorithm", "signature"] {
                skip(name, jws == nil ? "the token cannot be read" : "no configuration given")
            }
            return
        }
        let key = verifier.keys.key(jws.keyID)
        note(
            "key", key != nil, key == nil ? "no key \(shown(jws.keyID)) in the JWKS" : "key \(shown(jws.keyID))",
            else: .unknownKey)
        guard let key else {
            for name in ["algorithm", "signature"] { skip(name, "no key") }
            return
        }
        let fits = key.algorithm.rawValue.utf8.elementsEqual(jws.algorithm.utf8)
        note(
            "algorithm", fits, "the key's is \(key.algorithm.rawValue), the token says \(shown(jws.algorithm))",
            else: .badSignature)
        let genuine = key.verifies(jws.signature, over: bytes.span.extracting(first: jws.signedCount))
        note("signature", genuine, genuine ? "good" : "not made with this key over these bytes", else: .badSignature)
    }
}

extension LaunchCheck {
    /// What was compared with what.
    fileprivate func detail(
        _ claims: LaunchClaims, _ audiences: [String], _ policy: LaunchPolicy, _ vmid: UInt32?, _ now: Int64
    ) -> String {
        switch self {
        case .issuer: "\(shown(claims.issuer)), expected \"\(policy.issuer)\""
        case .audience: "\(JSONValue.array(audiences.map(JSONValue.string)).text), expected \"\(policy.audience)\""
        case .lifetime: "\(claims.expires - claims.issuedAt) s of at most \(policy.lifetimeAtMost) s"
        case .vmid: "\(claims.vmid)" + (vmid.map { ", the host's is \($0)" } ?? "")
        case .notBefore: claims.notBefore.map { Self.distance(now - $0) } ?? "not given"
        case .issuedAt: Self.distance(now - claims.issuedAt)
        case .expiry: Self.distance(now - claims.expires)
        case .sessionEnd: claims.sessionEnd.map { Self.distance(now - $0) } ?? "not given"
        }
    }

    private static func distance(_ seconds: Int64) -> String {
        seconds > 0 ? "\(seconds) s ago" : "in \(-seconds) s"
    }
}

/// Text of a stranger, fit for a terminal: quoted, controls escaped.
private func shown(_ text: String) -> String { JSONValue.string(text).text }
