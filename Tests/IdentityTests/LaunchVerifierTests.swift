import Crypto
import Testing
import Wire

@testable import Identity

@Suite struct LaunchVerifierTests {
    @Test("tokens of other implementations", arguments: Vectors.all.cases)
    func verdict(_ it: Vectors.Case) {
        #expect(Vectors.verifier.result(it.token, vmid: it.vmid) == it.expect)
    }

    @Test("inspect agrees with verify", arguments: Vectors.all.cases)
    func inspection(_ it: Vectors.Case) throws {
        let inspection = Vectors.verifier.inspect(it.token, vmid: it.vmid, now: Vectors.all.now)
        #expect(inspection.refusal.map { "\($0.metric)" } ?? "ok" == it.expect)
        #expect(inspection.checks.contains { $0.outcome == .fail } == (it.expect != "ok"))
        _ = try StrictJSON.parse(Array(inspection.json.utf8), depthAtMost: 8, membersAtMost: 200)
    }

    @Test("claims arrive as they were sent")
    func claims() throws {
        let it = try #require(Vectors.all.cases.first { $0.name == "every optional claim" })
        let now = Vectors.all.now
        let claims = try Vectors.verifier.verify(Array(it.token.utf8).span, vmid: 1101, now: now).get()
        #expect(
            claims
                == LaunchClaims(
                    issuer: "zlh-api", subject: "alice", vmid: 1101, tokenID: "token-1", issuedAt: now - 5,
                    expires: now + 55, notBefore: now - 5, generation: "01JD3K", sessionID: "session-1",
                    sessionEnd: now + 3600))
    }

    @Test("no byte of a token can be changed", arguments: Vectors.all.tamper)
    func tampering(_ token: String) {
        let good = Array(token.utf8)
        #expect(Vectors.verifier.result(token) == "ok")
        for at in good.indices {
            for change: UInt8 in [0x01, 0x20, 0x80] {
                var bad = good
                bad[at] ^= change
                let result = Vectors.verifier.verify(bad.span, vmid: 1101, now: Vectors.all.now)
                #expect(throws: LaunchRefusal.self, "byte \(at) ^ \(change)") { try result.get() }
            }
            let cut = Vectors.verifier.verify(Array(good[..<at]).span, vmid: 1101, now: Vectors.all.now)
            #expect(throws: LaunchRefusal.self, "cut at \(at)") { try cut.get() }
        }
    }

    @Test("mutated tokens are refused and never crash")
    func mutations() {
        var random = SeededGenerator(state: 7)
        let seeds = Vectors.all.cases.filter { $0.token.utf8.count < 2048 }.map { Array($0.token.utf8) }
        let originals = Set(seeds)
        for round in 0..<4000 {
            let bytes = mutated(seeds[round % seeds.count], &random)
            if originals.contains(bytes) { continue }
            let result = Vectors.verifier.verify(bytes.span, vmid: 1101, now: Vectors.all.now)
            #expect(throws: LaunchRefusal.self, "round \(round)") { try result.get() }
        }
    }

    @Test("signed payloads of random JSON never crash")
    func payloads() throws {
        var random = SeededGenerator(state: 11)
        let signer = try LaunchSigner(secret: [UInt8](repeating: 7, count: 32), keyID: "k")
        let keys = try KeySet(
            jwks: Array(#"{"keys":[{"kty":"oct","kid":"k","k":"BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"}]}"#.utf8))
        let verifier = LaunchVerifier(keys: keys, policy: LaunchPolicy())
        let claims = LaunchClaims(
            issuer: "zlh-api", subject: "u", vmid: 5, tokenID: "j", issuedAt: 100, expires: 160, notBefore: 100,
            generation: "g", sessionID: "s", sessionEnd: 1000)
        #expect(try verifier.result(signer.sign(claims, audience: "zlh-edge"), vmid: 5, now: 110) == "ok")
        let payload = Array(claims.payload(audience: "zlh-edge").text.utf8)
        for _ in 0..<3000 {
            let message =
                Base64URL.encode(Array(#"{"alg":"HS256","kid":"k"}"#.utf8)) + "."
                + Base64URL.encode(mutated(payload, &random))
            let mac = Digest.hmacSHA256(key: [UInt8](repeating: 7, count: 32), Array(message.utf8).span)
            _ = verifier.result(message + "." + Base64URL.encode(mac), vmid: 5, now: 110)
        }
    }

    @Test("extreme clocks and policies never trap", arguments: [Int64.min, -1, 0, 1 << 40, .max])
    func extremes(_ number: Int64) {
        let policy = LaunchPolicy(lifetimeAtMost: number, skew: number)
        let verifier = LaunchVerifier(keys: Vectors.verifier.keys, policy: policy)
        for it in Vectors.all.cases.prefix(20) { _ = verifier.result(it.token, now: Vectors.all.now) }
        for now in [0, 1 << 40, Vectors.all.now] as [Int64] { _ = verifier.result(Vectors.all.tamper[0], now: now) }
    }

    @Test(
        "skew is counted to the second",
        arguments: [(-36, "not_yet_valid"), (-35, "ok"), (84, "ok"), (85, "expired")] as [(Int64, String)])
    func skew(_ offset: Int64, _ expect: String) {
        // The token is issued 5 s before `now` and expires 55 s after it.
        #expect(Vectors.verifier.result(Vectors.all.tamper[0], now: Vectors.all.now + offset) == expect)
    }

    @Test("no keys, no entry")
    func noKeys() {
        let verifier = LaunchVerifier(keys: KeySet(), policy: LaunchPolicy())
        #expect(verifier.result(Vectors.all.tamper[0]) == "unknown_key")
    }

    @Test("what people read does not tell forgers which step failed")
    func messages() {
        let quiet: [LaunchRefusal] = [
            .malformed, .unknownKey, .badSignature, .wrongIssuer, .wrongAudience, .lifetimeTooLong,
        ]
        #expect(Set(quiet.map { "\($0.message)" }).count == 1)
        #expect(Set(LaunchRefusal.allCases.map { "\($0.metric)" }).count == LaunchRefusal.allCases.count)
        #expect(LaunchRefusal.allCases.filter(\.isBadSignature) == [.badSignature])
    }

    @Test("inspection without configuration shows the claims and skips the rest")
    func decoding() throws {
        let inspection = LaunchVerifier.decode(Vectors.all.tamper[0])
        #expect(inspection.refusal == nil)
        #expect(inspection.claims?.contains(#""sub":"alice""#) == true)
        #expect(inspection.checks.filter { $0.outcome == .skipped }.count >= 9)
        #expect(LaunchVerifier.decode("no token").refusal == .malformed)
    }
}
