import Testing

@testable import Identity

@Suite struct LaunchSignerTests {
    static let claims = LaunchClaims(
        issuer: "zlh-api", subject: "alice", vmid: 1101, tokenID: "j", issuedAt: Vectors.all.now,
        expires: Vectors.all.now + 60)

    @Test("every kind of key signs what the verifier takes", arguments: ["EdDSA", "ES256", "RS256"])
    func pem(_ name: String) throws {
        let signer = try LaunchSigner(privateKeyPEM: Array(Vectors.all.pem[name]!.utf8), in: Vectors.verifier.keys)
        #expect(signer.algorithm.rawValue == name)
        for _ in 0..<20 {
            #expect(Vectors.verifier.result(try signer.sign(Self.claims, audience: "zlh-edge")) == "ok")
        }
    }

    @Test("a secret of the JWKS signs")
    func secret() throws {
        let token = try LaunchKeys.issue(
            secretNamed: "hmac-1", in: Vectors.verifier.keys, claims: Self.claims, audience: "zlh-edge")
        #expect(Vectors.verifier.result(token) == "ok")
        #expect(throws: LaunchKeyError.self) { try LaunchSigner(secretNamed: "ed-1", in: Vectors.verifier.keys) }
        #expect(throws: LaunchKeyError.self) { try LaunchSigner(secretNamed: "none", in: Vectors.verifier.keys) }
    }

    @Test("keygen makes a pair that works, private, and never overwrites")
    func keygen() throws {
        try withDirectory { directory in
            let made = try LaunchKeys.generateEd25519(into: directory)
            #expect(try mode(made.privatePEMPath) == 0o600)
            #expect(try mode(made.jwksPath) & 0o444 == 0o444, "it is public, and the gateway is another user")
            let pem = try contents(made.privatePEMPath)
            let keys = try KeySet(jwks: contents(made.jwksPath))
            #expect(keys.keyIDs == [made.kid] && keys.warnings.isEmpty)
            let token = try LaunchKeys.issue(
                privateKeyPEM: pem, keyID: made.kid, claims: Self.claims, audience: "zlh-edge")
            #expect(LaunchVerifier(keys: keys, policy: LaunchPolicy()).result(token) == "ok")
            #expect(throws: LaunchKeyError.self) { try LaunchKeys.generateEd25519(into: directory) }
            #expect(try contents(made.privatePEMPath) == pem)
            #expect(throws: LaunchKeyError.self) { try LaunchSigner(privateKeyPEM: pem, in: Vectors.verifier.keys) }
        }
        #expect(throws: LaunchKeyError.self) { try LaunchKeys.generateEd25519(into: "/nonexistent/directory") }
    }

    @Test(
        "what is no private key is refused",
        arguments: ["", "text", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
    func badPEM(_ text: String) {
        #expect(throws: LaunchKeyError.self) { try LaunchSigner(privateKeyPEM: Array(text.utf8), keyID: "k") }
    }

    @Test("a token that would be refused for its size is not issued")
    func size() throws {
        var claims = Self.claims
        claims.subject = String(repeating: "x", count: 2000)
        #expect(throws: LaunchKeyError.self) {
            try LaunchKeys.issue(secretNamed: "hmac-1", in: Vectors.verifier.keys, claims: claims, audience: "a")
        }
    }
}
