import Testing
import Wire

@testable import Crypto

@Suite struct CryptoTests {
    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    @Test("hashes of FIPS 180-4's \"abc\" and of nothing")
    func hashes() {
        #expect(hex(Digest.sha1(Array("abc".utf8).span)) == "a9993e364706816aba3e25717850c26c9cd0d89d")
        #expect(hex(Digest.sha1([UInt8]().span)) == "da39a3ee5e6b4b0d3255bfef95601890afd80709")
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        #expect(hex(Digest.sha256(Array("abc".utf8))) == abc)
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(hex(Digest.sha256([])) == nothing)
    }

    @Test("a message in two pieces hashes like the whole", arguments: [0, 1, 55, 56, 63, 64, 65, 200])
    func pieces(count: Int) {
        let message = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        for at in 0...count {
            var stream = SHA256Stream()
            stream.update(message.span.extracting(..<at))
            stream.update(message.span.extracting(at...))
            let digest = stream.finish()
            #expect(digest == Digest.sha256(message))
        }
    }

    @Test("the accept value of RFC 6455 section 1.3")
    func webSocketAccept() {
        var out = ByteBuffer()
        out.append("x")
        let key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)
        Digest.webSocketAccept(key: key.span, into: &out)
        let text = out.withReadable { bytes in (0..<bytes.count).map { bytes[$0] } }
        #expect(String(decoding: text, as: UTF8.self) == "xs3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    }

    @Test("HMAC-SHA-256 of RFC 4231 test case 2")
    func hmac() {
        let mac = Digest.hmacSHA256(key: Array("Jefe".utf8), Array("what do ya want for nothing?".utf8).span)
        #expect(hex(mac) == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    }

    @Test("comparison sees every byte and every length")
    func comparison() {
        let bytes = Random.bytes(32)
        func equal(_ left: [UInt8], _ right: [UInt8]) -> Bool {
            equalInConstantTime(left.span, right.span)
        }
        #expect(equal(bytes, bytes) && equal([], []))
        #expect(!equal(bytes, Array(bytes.dropLast())) && !equal(bytes, []))
        for at in bytes.indices {
            var other = bytes
            other[at] ^= 1
            #expect(!equal(bytes, other))
        }
    }

    @Test("random identifiers differ")
    func randomness() {
        let ids = Set((0..<1000).map { _ in Random.id() })
        #expect(ids.count == 1000 && ids.allSatisfy { $0.utf8.count == 22 })
        #expect(Random.bytes(0).isEmpty)
    }

    @Test("base64url has one spelling for each value")
    func base64() {
        for count in 0..<70 {
            let bytes = Random.bytes(count)
            #expect(Base64URL.decode(Base64URL.encode(bytes)) == bytes)
        }
        for text in ["A", "AB", "AAB", "AA==", "A A", "AA\n", "+/+/", "AAAAA", "é", "AA=", "-_-", "AAAA="] {
            #expect(Base64URL.decode(text) == nil, "\(text)")
        }
        #expect(Base64URL.decode("-_-_") == [0xfb, 0xff, 0xbf])
        #expect(Base64URL.decode("") == [])
        // All texts of two and three digits: exactly those with zero in the unused bits are taken.
        let digits = (0..<128).map { UInt8($0) }
        let taken = digits.reduce(0) { sum, a in
            sum + digits.filter { Base64URL.decode([a, $0].span) != nil }.count
        }
        #expect(taken == 256)
    }
}
