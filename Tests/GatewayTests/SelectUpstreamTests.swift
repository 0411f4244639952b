import Identity
import Routing
import Testing
import Wire

@testable import Gateway

/// Steps *host*, *route* and *generation* of the decision table.
@Suite struct SelectUpstreamTests {
    private static func route(_ vmid: UInt32, _ address: String, _ generation: String = "g1") -> IDERoute {
        IDERoute(vmid: vmid, endpoint: Endpoint("\(address):6000")!, generation: generation)
    }

    private static let routes = RouteTable(
        ide: [
            route(1101, "10.0.0.1"), route(1102, "10.0.0.2", "g2"), route(1103, "10.0.0.3"), route(1104, "10.0.0.3"),
        ], minecraft: [], revoked: [], generation: 1)

    private static func session(_ vmid: UInt32, _ generation: String) -> Session {
        Session.transient(
            SealedSession(
                id: "s", user: "alice", vmid: vmid, generation: generation, issuedAt: 0, absoluteEnd: .max),
            now: Moment(epoch: 0, steady: 0))
    }

    @Test(
        arguments: [
            (1101, "g1", "10.0.0.1:6000"), (1102, "g2", "10.0.0.2:6000"), (1101, "g2", "unauthorized"),
            (1102, "", "unauthorized"), (1103, "g1", "route_conflict"), (1104, "g1", "route_conflict"),
            (1104, "other", "route_conflict"), (1105, "g1", "no_such_ide"), (0, "g1", "no_such_ide"),
            (.max, "g1", "no_such_ide"),
        ] as [(UInt32, String, String)])
    func selects(vmid: UInt32, generation: String, outcome: String) {
        do throws(GatewayFailure) {
            let route = try selectUpstream(
                for: Self.session(vmid, generation), vmid: vmid, in: Self.routes, isNavigation: false)
            #expect("\(route.endpoint)" == outcome)
            #expect(route.vmid == vmid)
        } catch {
            #expect("\(error.error)" == outcome)
            // Another tenant's container: the cookie is cleared, which `revoked` does and `none` does not.
            if case .unauthorized(let why) = error { #expect("\(why.word)" == "revoked") }
        }
    }

    @Test(arguments: [
        ("dev-1101.example.test", "1101"), ("DEV-1101.EXAMPLE.TEST.:8443", "1101"), ("dev-1.example.test", "1"),
        ("dev-01.example.test", "421"), ("dev-0.example.test", "421"), ("dev-.example.test", "421"),
        ("dev-2000.example.test", "421"), ("dev-99999999999.example.test", "421"), ("www.example.test", "421"),
        ("a.dev-1101.example.test", "421"), ("dev-1101.example.test.evil", "421"), ("dev-1101.other.test", "421"),
        ("10.0.0.1", "421"), ("[::1]:443", "421"), ("dev-1101.example.test:", "400"),
        ("dev-1101.example.test:0", "400"), ("dev-1101.example.test:65536", "400"), ("dev-1101.example.test..", "400"),
        ("user@dev-1101.example.test", "400"), ("dev-1101.example.test/", "400"), ("dev_1101.example.test", "421"),
        ("*", "400"), ("dev-%31101.example.test", "400"),
    ])
    func identifies(host: String, outcome: String) throws {
        let domain = try #require(DevDomain("example.test", vmids: 1...1999))
        try withRequest(request(host: host)) { head, bytes, _ in
            do throws(GatewayFailure) {
                let vmid = try identifyVM(head, bytes, in: domain)
                #expect("\(vmid)" == outcome)
            } catch {
                #expect("\(error.status)" == outcome)
            }
        }
    }
}

/// What a request is taken for: it decides between a page, a redirect and JSON.
@Suite struct RequestFactsTests {
    @Test(
        arguments: [
            ("GET / HTTP/1.1", ["Sec-Fetch-Mode: navigate"], true, true),
            ("HEAD / HTTP/1.1", ["Sec-Fetch-Mode: navigate"], true, true),
            ("POST / HTTP/1.1", ["Sec-Fetch-Mode: navigate"], false, true),
            ("POST / HTTP/1.1", ["Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: frame"], false, true),
            (
                "GET / HTTP/1.1", ["Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: empty", "Accept: text/html"], true,
                true
            ),
            ("GET / HTTP/1.1", ["Sec-Fetch-Mode: cors", "Accept: text/html"], true, true),
            ("GET / HTTP/1.1", ["Sec-Fetch-Dest: document", "Accept: text/html"], true, true),
            ("GET / HTTP/1.1", ["Sec-Fetch-Dest: iframe", "Accept: text/html"], true, true),
            ("GET / HTTP/1.1", ["Sec-Fetch-Dest: image", "Accept: text/html"], false, false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Mode: cors", "Sec-Fetch-Dest: empty", "Accept: */*"], false, false),
            ("GET / HTTP/1.1", ["Accept: text/html,application/xhtml+xml;q=0.9"], true, true),
            ("GET / HTTP/1.1", ["Accept: application/json, text/html;q=0.1"], true, true),
            ("GET / HTTP/1.1", ["Accept: */*"], false, false),
            ("GET / HTTP/1.1", [], false, false),
            ("GET / HTTP/1.1", handshake + ["Sec-Fetch-Mode: navigate"], false, false),
        ] as [(String, [String], Bool, Bool)])
    func navigation(line: String, fields: [String], isNavigation: Bool, wantsPage: Bool) throws {
        let facts = try withRequest(request(line, fields)) { RequestFacts($0, $1, $2) }
        #expect(facts.isNavigation == isNavigation)
        #expect(facts.wantsPage == wantsPage)
    }

    /// Who asks, for compression and penalties.
    @Test(
        arguments: [
            ("GET / HTTP/1.1", [], .unknown),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-origin"], .own),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: none"], .own),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-site"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: cross-site"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: same-origin"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: none", "Sec-Purpose: prefetch"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-origin", "Sec-Purpose: prefetch;prerender"], .foreign),
            ("GET / HTTP/1.1", ["Purpose: prefetch"], .foreign),
            ("GET / HTTP/1.1", ["X-Moz: prefetch"], .foreign),
            ("GET / HTTP/1.1", ["X-Purpose: preview"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: none", "Referer: https://dev-1102.example.test/"], .foreign),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: none", "Referer: https://dev-1101.example.test/"], .own),
            ("GET / HTTP/1.1", ["Referer: https://dev-1101.example.test/"], .unknown),
            (
                "GET / HTTP/1.1", ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: same-origin", "Accept: text/html"],
                .foreign
            ),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: same-origin", "Accept: */*"], .own),
            ("GET / HTTP/1.1", ["Origin: https://dev-1101.example.test"], .unknown),
            ("GET / HTTP/1.1", ["Origin: https://dev-1102.example.test"], .foreign),
            ("POST / HTTP/1.1", ["Origin: null"], .foreign),
            ("POST / HTTP/1.1", ["Origin: null", "Sec-Fetch-Site: same-origin"], .own),
            ("GET / HTTP/1.1", handshake + ["Origin: null", "Sec-Fetch-Site: same-origin"], .foreign),
            ("GET / HTTP/1.1", handshake + ["Origin: https://dev-1101.example.test"], .unknown),
        ] as [(String, [String], Asker)])
    func asker(line: String, fields: [String], expected: Asker) throws {
        #expect(try withRequest(request(line, fields)) { RequestFacts($0, $1, $2).asker } == expected)
    }

    /// Of a head that is refused, what is whole still tells.
    @Test(arguments: [
        ("GET /a HTTP/1.1\r\nAccept: text/html\r\nCookie: aaa", "GET", true),
        ("GET /a b c\r\nAccept: text/html\r\n\r\n", "GET", true),
        ("PROPFIND /a HTTP/1.1\r\nAccept: text/html\r\n", "PROPFIND", false),
        ("GET /a HTTP/1.1\r\nAccept: text/ht", "GET", false),
        ("GET /aaaaaaaaaaaaaaaaa", "GET", false),
        ("\r\n\r\nGE", "GE", false),
        ("\u{16}\u{3}\u{1}", "", false),
        ("", "", false),
    ])
    func refusedHead(head: String, method: String, isNavigation: Bool) {
        let fields = HeadFields(capacity: 20)
        let bytes = Array(head.utf8)
        let token = bytes.span.extracting(HTTP1.skim(bytes.span, into: fields).method)
        #expect(token.text() == method)
        #expect(RequestFacts(refused: Method(recognising: token), bytes.span, fields).isNavigation == isNavigation)
    }
}
