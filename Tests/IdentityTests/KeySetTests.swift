import Testing

@testable import Identity

@Suite struct KeySetTests {
    @Test("a set of all four kinds")
    func good() throws {
        let set = try KeySet(jwks: Array(Vectors.all.jwks.utf8))
        #expect(set.keyIDs == ["ed-1", "ec-1", "rsa-1", "hmac-1"])
        #expect(set.keyIDs.map { set.algorithm(of: $0) } == [.edDSA, .es256, .rs256, .hs256])
        #expect(set.warnings.isEmpty)
        #expect(set.algorithm(of: "other") == nil)
    }

    @Test(
        "of a set with an unusable key the others are taken, one without any other is refused",
        arguments: Vectors.all.badSets)
    func bad(_ it: Vectors.BadSet) throws {
        guard it.jwks.contains("\"first\"") || it.name == "duplicate kid" else {
            let error = try #require(throws: KeySetError.self) { try KeySet(jwks: Array(it.jwks.utf8)) }
            #expect(error.description.contains(it.reason), "\(error)")
            return
        }
        let set = try KeySet(jwks: Array(it.jwks.utf8))
        #expect(set.keyIDs.count == 1)
        #expect(set.warnings.count == 1 && set.warnings[0].hasPrefix("skipped key 1"))
        #expect(set.warnings[0].contains(it.reason), "\(set.warnings)")
        let alone = it.jwks.replacing("\"first\"", with: "\"\"")
        if it.name != "duplicate kid" {
            #expect(throws: KeySetError.self) { try KeySet(jwks: Array(alone.utf8)) }
        }
    }

    @Test("a byte order mark is skipped")
    func byteOrderMark() throws {
        #expect(try KeySet(jwks: [0xef, 0xbb, 0xbf] + Array(Vectors.all.jwks.utf8)).keyIDs.count == 4)
    }

    @Test("a private half in the file is a warning")
    func privateHalf() throws {
        let set = try KeySet(jwks: Array(Vectors.all.privateJWKS.utf8))
        #expect(set.warnings.count == 1)
        #expect(set.warnings.first?.contains("ed-1") == true)
    }

    @Test("no keys at all is a warning")
    func empty() throws {
        let set = try KeySet(jwks: Array(#"{"keys":[]}"#.utf8))
        #expect(set.keyIDs.isEmpty && set.warnings.count == 1)
    }

    @Test("syntax errors name the line")
    func line() throws {
        let error = try #require(throws: KeySetError.self) { try KeySet(jwks: Array("{\n\"keys\": [\n{,}]}".utf8)) }
        #expect(error.description == "not JSON: unexpected byte at line 3")
    }

    @Test("a key that calls itself Ed25519 (RFC 9864) wants that name in the header")
    func ed25519Name() throws {
        let jwks = Vectors.all.jwks.replacing(#""kty": "OKP""#, with: #""kty": "OKP", "alg": "Ed25519""#)
        let keys = try KeySet(jwks: Array(jwks.utf8))
        #expect(keys.algorithm(of: "ed-1") == .ed25519)
        let verifier = LaunchVerifier(keys: keys, policy: LaunchPolicy())
        #expect(verifier.result(Vectors.all.tamper[0]) == "bad_signature")
        let signer = try LaunchSigner(privateKeyPEM: Array(Vectors.all.pem["EdDSA"]!.utf8), in: keys)
        #expect(signer.algorithm == .ed25519)
    }

    @Test("errors never hold key material")
    func quiet() throws {
        let secret = "c2VjcmV0LXNlY3JldC1zZWNyZXQ"
        let error = try #require(throws: KeySetError.self) {
            try KeySet(jwks: Array(#"{"keys":[{"kty":"oct","kid":"k","k":"\#(secret)"}]}"#.utf8))
        }
        #expect(!error.description.contains(secret))
        #expect(error.description == #"key 0 (kid "k"): 20 bytes are too few: HS256 needs at least 32"#)
    }
}
