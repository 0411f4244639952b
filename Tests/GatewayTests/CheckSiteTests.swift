import Testing
import Wire

@testable import Gateway

/// Step *site* of the decision table, one of its rules a line.
@Suite struct CheckSiteTests {
    private static let own = "Origin: https://dev-1101.example.test"
    private static let sibling = "Origin: https://dev-1102.example.test"

    private func passes(
        _ bytes: [UInt8], usesHeaderToken: Bool = false, hasSessionCookie: Bool = true
    ) throws -> Bool {
        try withRequest(bytes) { head, bytes, fields in
            do throws(GatewayFailure) {
                try checkSite(
                    head, bytes, fields, usesHeaderToken: usesHeaderToken, hasSessionCookie: hasSessionCookie)
                return true
            } catch {
                #expect(error.status == 403)
                return false
            }
        }
    }

    private static func navigation(_ site: String, mode: String = "navigate", dest: String = "document") -> [String] {
        ["Sec-Fetch-Site: \(site)", "Sec-Fetch-Mode: \(mode)", "Sec-Fetch-Dest: \(dest)"]
    }

    /// Request line, fields, whether it passes.
    @Test(
        arguments: [
            // Without fetch metadata: only an unsafe method with a foreign Origin is refused.
            ("GET / HTTP/1.1", [], true),
            ("GET / HTTP/1.1", [sibling], true),
            ("HEAD / HTTP/1.1", ["Origin: null"], true),
            ("POST / HTTP/1.1", [], true),
            ("POST / HTTP/1.1", [own], true),
            ("POST / HTTP/1.1", [sibling], false),
            ("POST / HTTP/1.1", ["Origin: null"], false),
            ("PUT / HTTP/1.1", ["Origin: http://dev-1101.example.test"], false),
            ("DELETE / HTTP/1.1", ["Origin: https://dev-1101.example.test:8443"], false),
            ("PATCH / HTTP/1.1", ["Origin: https://dev-1101.example.test.evil"], false),
            ("POST / HTTP/1.1", ["Origin: https://dev-1101.example.tes"], false),
            ("POST / HTTP/1.1", ["Origin: https://"], false),
            ("POST / HTTP/1.1", ["Origin:"], false),
            ("BREW / HTTP/1.1", [sibling], false),
            ("GET / HTTP/1.1", [own, own], false),
            // With it: it alone decides.
            ("POST / HTTP/1.1", ["Sec-Fetch-Site: same-origin", sibling], true),
            ("POST / HTTP/1.1", ["Sec-Fetch-Site: none"], true),
            ("GET / HTTP/1.1", navigation("cross-site"), true),
            ("GET / HTTP/1.1", navigation("same-site"), true),
            ("HEAD / HTTP/1.1", navigation("cross-site"), true),
            ("GET / HTTP/1.1", navigation("cross-site", dest: "empty"), true),
            ("POST / HTTP/1.1", navigation("cross-site"), false),
            ("POST / HTTP/1.1", navigation("same-site"), false),
            ("OPTIONS / HTTP/1.1", navigation("same-site"), false),
            ("GET / HTTP/1.1", navigation("same-site", dest: "iframe"), false),
            ("GET / HTTP/1.1", navigation("cross-site", dest: "script"), false),
            ("GET / HTTP/1.1", navigation("cross-site", mode: "cors", dest: "empty"), false),
            ("GET / HTTP/1.1", navigation("same-site", mode: "no-cors", dest: "image"), false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-site"], false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: navigate"], false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: somewhere"], false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site:"], false),
            ("GET / HTTP/1.1", ["Sec-Fetch-Site: none", "Sec-Fetch-Site: same-origin"], false),
        ] as [(String, [String], Bool)])
    func ordinary(line: String, fields: [String], passes expected: Bool) throws {
        #expect(try passes(request(line, fields)) == expected)
    }

    /// What `Referer` names, and whether an unsafe request with it passes though `Sec-Fetch-Site` says same-origin.
    @Test(
        arguments: [
            ("https://dev-1101.example.test/form?x=1", true),
            ("https://dev-1101.example.test", true),
            ("https://dev-1101.example.test:443/", true),
            ("HTTPS://Dev-1101.Example.Test/", true),
            ("https://dev-1101.example.test?x", true),
            ("", true),
            ("about:blank", true),
            ("about:client", true),
            ("null", true),
            ("/path", true),
            ("/path?to=https://dev-1102.example.test/", true),
            ("path", true),
            ("https://dev-1102.example.test/", false),
            ("https://dev-1102.example.test", false),
            ("https://dev-1102.example.test/?https://dev-1101.example.test/", false),
            ("https://dev-1101.example.test.evil.test/", false),
            ("https://dev-1101.example.test@evil.test/", false),
            ("https://evil.test\\@dev-1101.example.test/", false),
            ("https://user@dev-1101.example.test/", false),
            ("https://dev-1101.example.test:8443/", false),
            ("https://dev-1101.example.test:4430/", false),
            ("https://dev-1101.example.test./", false),
            ("https://dev-1101.example.tes", false),
            ("http://dev-1101.example.test/", false),
            ("android-app://com.example/", false),
            ("//dev-1102.example.test/", false),
            ("//dev-1101.example.test/", true),
            ("https://", false),
            ("https:///dev-1101.example.test/", false),
            ("https:dev-1102.example.test", false),
            (":443", false),
        ])
    func referer(value: String, passes expected: Bool) throws {
        for method in ["POST", "PUT", "DELETE", "PATCH", "BREW"] {
            for site in [["Sec-Fetch-Site: same-origin", Self.own], ["Sec-Fetch-Site: none"], []] {
                let bytes = request("\(method) / HTTP/1.1", site + ["Referer: \(value)"])
                #expect(try passes(bytes) == expected)
            }
        }
        for method in ["GET", "HEAD", "OPTIONS"] {
            #expect(try passes(request("\(method) / HTTP/1.1", ["Referer: \(value)"])))
        }
        #expect(try passes(request("GET / HTTP/1.1", handshake + [Self.own, "Referer: \(value)"])))
    }

    /// A form that Firefox's worker fetched again, without a Referer.
    @Test(arguments: [(own, true), ("Origin: null", false), (sibling, false), ("X: y", true)])
    func refetchedForm(origin: String, passes expected: Bool) throws {
        let metadata = ["Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Dest: empty", origin]
        #expect(try passes(request("POST / HTTP/1.1", metadata + ["Accept: text/html,*/*;q=0.8"])) == expected)
        #expect(try passes(request("POST / HTTP/1.1", metadata + ["Accept: */*"])))
        #expect(try passes(request("GET / HTTP/1.1", metadata + ["Accept: text/html"])))
    }

    @Test func aRefererWithThePortOfTheHost() throws {
        let referer = ["Referer: https://dev-1101.example.test/"]
        #expect(try passes(request("POST / HTTP/1.1", referer, host: "dev-1101.example.test:443")))
        #expect(try !passes(request("POST / HTTP/1.1", referer, host: "dev-1101.example.test:8443")))
        #expect(try !passes(request("POST / HTTP/1.1", referer + referer)))
        let ours = ["Referer: https://dev-1101.example.test:8443/"]
        #expect(try passes(request("POST / HTTP/1.1", ours, host: "Dev-1101.example.test:8443")))
    }

    /// Fields beside the handshake, header token, session cookie, whether it passes.
    @Test(
        arguments: [
            ([own], false, true, true),
            ([own], true, false, true),
            ([own, "Sec-Fetch-Site: cross-site"], false, true, true),
            ([sibling], false, true, false),
            ([sibling, "Sec-Fetch-Site: same-origin"], false, true, false),
            (["Origin: null"], false, true, false),
            ([], false, true, false),
            ([], true, true, false),
            ([], true, false, true),
            ([own, sibling], false, true, false),
        ] as [([String], Bool, Bool, Bool)])
    func upgrades(fields: [String], headerToken: Bool, cookie: Bool, passes expected: Bool) throws {
        let bytes = request("GET /ws HTTP/1.1", handshake + fields)
        #expect(try passes(bytes, usesHeaderToken: headerToken, hasSessionCookie: cookie) == expected)
    }

    /// The own origin is the Host as received, lower-cased, its port included.
    @Test(arguments: [
        ("dev-1101.example.test:8443", "https://dev-1101.example.test:8443", true),
        ("dev-1101.example.test:8443", "https://dev-1101.example.test", false),
        ("DEV-1101.Example.Test", "https://dev-1101.example.test", true),
        ("dev-1101.example.test.", "https://dev-1101.example.test.", true),
        ("dev-1101.example.test", "https://dev-1101.example.test.", false),
        ("dev-1101.example.test", "https://dev-1101.example.test/", false),
        ("dev-1101.example.test", "wss://dev-1101.example.test", false),
    ])
    func ownOrigin(host: String, origin: String, passes expected: Bool) throws {
        #expect(try passes(request("POST / HTTP/1.1", ["Origin: \(origin)"], host: host)) == expected)
    }
}
