import Testing
import Wire

@Suite("host to vmid")
struct DevDomainTests {
    private let domain = DevDomain("zerolaghub.dev", vmids: 1...999_999_999)

    private func match(_ authority: String) -> DevDomain.Match? {
        domain?.match(Array(authority.utf8).span)
    }

    @Test(
        "containers",
        arguments: [
            ("dev-1101.zerolaghub.dev", 1101, UInt16?.none), ("dev-1101.zerolaghub.dev.", 1101, nil),
            ("DEV-1101.ZeroLagHub.DEV", 1101, nil), ("dev-1.zerolaghub.dev:8443", 1, 8443),
            ("dev-999999999.zerolaghub.dev.:443", 999_999_999, 443), ("dev-7.zerolaghub.dev:00080", 7, 80),
            ("dev-7.zerolaghub.dev:65535", 7, 65535),
        ])
    func containers(_ authority: String, _ vmid: UInt32, _ port: UInt16?) {
        #expect(match(authority) == .vmid(vmid, port: port))
    }

    @Test(
        "other hosts are 421",
        arguments: [
            "zerolaghub.dev", "dev-.zerolaghub.dev", "dev-0.zerolaghub.dev", "dev-01.zerolaghub.dev",
            "dev-1000000000.zerolaghub.dev", "dev-4294967296.zerolaghub.dev", "dev-42949672961.zerolaghub.dev",
            "dev-99999999999999999999999.zerolaghub.dev", "dev-1a.zerolaghub.dev", "dev-1-2.zerolaghub.dev",
            "a.dev-1.zerolaghub.dev", "dev-1.a.zerolaghub.dev", "dev-1.zerolaghub.dev.evil.com",
            "dev-1.xzerolaghub.dev",
            "dev-1xzerolaghub.dev", "dev-1.zerolaghub.de", "dev1.zerolaghub.dev",
            "dev_1.zerolaghub.dev", "dev-1_.zerolaghub.dev", "_dmarc.zerolaghub.dev",
            "play.zerolaghub.dev", "localhost", "127.0.0.1", "[::1]", "[::1]:8443", "[fd00::1.2.3.4]", "x", "dev-1",
            "dev-1.zerolaghub.dev:443.".replacing(":443.", with: ""), "dex-1.zerolaghub.dev",
            "dev-\(4_294_967_297).zerolaghub.dev",
        ].filter { $0 != "dev-1.zerolaghub.dev" })
    func elsewhere(_ authority: String) {
        #expect(match(authority) == .elsewhere)
    }

    @Test(
        "malformed hosts are 400",
        arguments: [
            "", ".", "..", "dev-1..zerolaghub.dev", ".dev-1.zerolaghub.dev", "dev-1.zerolaghub.dev..",
            "a@dev-1.zerolaghub.dev",
            "a:b@dev-1.zerolaghub.dev", "dev-1.zerolaghub.dev/", "dev-1.zerolaghub.dev/x", "dev-1.zerolaghub.dev?x",
            "dev-1.zerolaghub.dev#", "dev-1.zerolaghub.dev:", "dev-1.zerolaghub.dev:0", "dev-1.zerolaghub.dev:65536",
            "dev-1.zerolaghub.dev:99999", "dev-1.zerolaghub.dev:123456", "dev-1.zerolaghub.dev:+80",
            "dev-1.zerolaghub.dev:-1",
            "dev-1.zerolaghub.dev:8a", "dev-1.zerolaghub.dev:80:80", "dev-1.zerolaghub.dev: 80",
            "dev-1.zerolaghub.dev ",
            " dev-1.zerolaghub.dev", "dev-1%2ezerolaghub.dev", "dev-1.zerolaghub.dev,x",
            ":443",
            "dev-1.zerolaghub.dev\\", "d\u{e9}v-1.zerolaghub.dev", "dev-\u{ff11}.zerolaghub.dev", "[::1", "[]", "[]:1",
            "[::1]x", "[::g]", "::1", "dev-1.zerolaghub.dev\u{0}", "*", "dev-1.zerolaghub.dev;",
            String(repeating: "a", count: 64) + ".dev", String(repeating: "a.", count: 127) + "a",
        ])
    func malformed(_ authority: String) {
        #expect(match(authority) == .malformed)
    }

    @Test("every byte in the place of the last digit", arguments: [UInt8](0...255))
    func eachByte(_ byte: UInt8) {
        let bytes = Array("dev-1".utf8) + [byte] + Array(".zerolaghub.dev".utf8)
        let result = domain?.match(bytes.span)
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): #expect(result == .vmid(10 + UInt32(byte - 0x30), port: nil))
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "-"),
            UInt8(ascii: "_"), UInt8(ascii: "."):
            #expect(result != .malformed || byte == UInt8(ascii: "."))
            #expect(result == .elsewhere || byte == UInt8(ascii: "."))
        default: #expect(result == .malformed)
        }
    }

    @Test("only allowed vmids")
    func range() {
        let narrow = DevDomain("a.b", vmids: 10...20)
        #expect(narrow?.match(Array("dev-9.a.b".utf8).span) == .elsewhere)
        #expect(narrow?.match(Array("dev-10.a.b".utf8).span) == .vmid(10, port: nil))
        #expect(narrow?.match(Array("dev-21.a.b".utf8).span) == .elsewhere)
        let wide = DevDomain("a.b", vmids: 0...UInt32.max)
        #expect(wide?.match(Array("dev-4294967295.a.b".utf8).span) == .vmid(.max, port: nil))
        #expect(wide?.match(Array("dev-4294967296.a.b".utf8).span) == .elsewhere)
        #expect(wide?.match(Array("dev-0.a.b".utf8).span) == .elsewhere)
    }

    @Test("domains that are none", arguments: ["", ".", "A.b", "a..b", "a.b.", "a b", "a:1", "a_b"])
    func notDomains(_ text: String) {
        #expect(DevDomain(text, vmids: 1...2) == nil)
    }
}
