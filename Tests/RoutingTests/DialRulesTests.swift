import Routing
import Testing
import Wire

@Suite struct DialRulesTests {
    private static func rules(_ upstreams: [String]) -> DialRules {
        DialRules(
            upstreams: upstreams.compactMap { CIDR($0) },
            listeners: ["0.0.0.0:443", "[::]:8443", "127.0.0.1:9180", "10.1.1.1:80"].compactMap { Endpoint($0) },
            localAddresses: Set(["10.9.9.9", "fd00::9"].compactMap { IPAddress($0) }))
    }

    private static let usual = rules(["10.0.0.0/8", "fc00::/7", "127.0.0.0/8", "::1"])

    @Test(arguments: [
        "10.0.0.1:6000", "[fd00::1]:6000", "[::ffff:10.0.0.1]:6000", "127.0.0.1:6000", "[::1]:6000",
        "10.0.0.1:443",  // a container's own port, not one of this machine
        "127.0.0.1:8443",  // [::] takes IPv6 only
        "127.0.0.2:9180", "10.9.9.9:6000",
    ])
    func dials(endpoint: String) throws {
        let endpoint = try #require(Endpoint(endpoint))
        #expect(Self.usual.refusal(of: endpoint) == nil)
    }

    @Test(arguments: [
        ("10.0.0.1:18888", "agent"), ("127.0.0.1:18888", "agent"), ("[fd00::1]:18888", "agent"),
        ("11.0.0.1:6000", "outside"), ("[2001:db8::1]:6000", "outside"), ("[::ffff:11.0.0.1]:6000", "outside"),
        ("[::10.0.0.1]:6000", "outside"), ("[64:ff9b::a00:1]:6000", "outside"),
        ("10.0.0.1:0", "no port"), ("0.0.0.0:6000", "this machine"), ("[::]:6000", "this machine"),
        ("127.0.0.1:443", "own listener"), ("127.8.8.8:443", "own listener"), ("[::1]:8443", "own listener"),
        ("127.0.0.1:9180", "own listener"), ("10.1.1.1:80", "own listener"), ("[::ffff:10.1.1.1]:80", "own listener"),
        ("10.9.9.9:443", "own listener"), ("[fd00::9]:8443", "own listener"),
        ("[ff02::1]:6000", "multicast"), ("224.0.0.1:6000", "multicast"), ("255.255.255.255:6000", "multicast"),
    ])
    func refuses(endpoint: String, reason: String) throws {
        let endpoint = try #require(Endpoint(endpoint))
        let refusal = try #require(Self.usual.refusal(of: endpoint))
        #expect(refusal.contains(reason))
    }

    @Test func aBlockThatSpansLoopbackDoesNotListIt() throws {
        let everything = Self.rules(["0.0.0.0/0", "::/0"])
        let loopback = try #require(Endpoint("127.0.0.1:6000"))
        let loopbackIPv6 = try #require(Endpoint("[::1]:6000"))
        let elsewhere = try #require(Endpoint("8.8.8.8:6000"))
        #expect(everything.refusal(of: elsewhere) == nil)
        #expect(everything.refusal(of: loopback) != nil)
        #expect(everything.refusal(of: loopbackIPv6) != nil)
        #expect(Self.rules(["127.0.0.1"]).refusal(of: loopback) == nil)
    }

    @Test func nothingListedIsNothingDialled() throws {
        let endpoint = try #require(Endpoint("10.0.0.1:6000"))
        #expect(Self.rules([]).refusal(of: endpoint) != nil)
    }
}
