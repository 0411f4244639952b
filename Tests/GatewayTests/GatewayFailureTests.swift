import Observe
import Testing
import Wire

@testable import Gateway

extension GatewayFailure {
    /// A number for each case. A new case does not compile until it has one, and so a row in the table below.
    fileprivate var number: Int {
        switch self {
        case .badRequest: 0
        case .notImplemented: 1
        case .methodNotAllowed: 2
        case .misdirected: 3
        case .headTooLarge: 4
        case .payloadTooLarge: 5
        case .requestTimeout: 6
        case .limited: 7
        case .overloaded: 8
        case .unauthorized: 9
        case .forbidden: 10
        case .noSuchIDE: 11
        case .notYetRouted: 12
        case .routeConflict: 13
        case .unreachable: 14
        case .badGateway: 15
        case .upstreamTimeout: 16
        case .prefetch: 17
        case .notFound: 18
        case .draining: 19
        case .moved: 20
        case .framedLaunch: 21
        }
    }
}

@Suite struct GatewayFailureTests {
    struct Row: Sendable, CustomTestStringConvertible {
        let failure: GatewayFailure
        let status: UInt16
        let error: String
        let reason: RefusalReason
        var closes = false
        var reloads: Int?
        var testDescription: String { "\(failure)" }
    }

    static let rows = [
        Row(
            failure: .badRequest("x"), status: 400, error: "bad_request", reason: .badRequest,
            closes: true),
        Row(
            failure: .badRequest("x", .framingTrailers), status: 400, error: "bad_request", reason: .framingTrailers,
            closes: true),
        Row(
            failure: .notImplemented("x"), status: 501, error: "bad_request", reason: .badRequest,
            closes: true),
        Row(
            failure: .methodNotAllowed(allow: "GET"), status: 405, error: "method_not_allowed",
            reason: .methodNotAllowed),
        Row(failure: .misdirected, status: 421, error: "misdirected", reason: .misdirected),
        Row(
            failure: .headTooLarge(.headersBytes, clearsCookies: false), status: 431, error: "too_large",
            reason: .headersBytes, closes: true),
        Row(
            failure: .headTooLarge(.headersFields, clearsCookies: true), status: 431, error: "too_large",
            reason: .headersFields, closes: true),
        Row(failure: .payloadTooLarge, status: 413, error: "too_large", reason: .tooLarge),
        Row(
            failure: .requestTimeout(.headersTimeout), status: 408, error: "timeout", reason: .headersTimeout,
            closes: true),
        Row(
            failure: .limited(.httpsUnauthenticated, retryAfterSeconds: 3), status: 429, error: "limited",
            reason: .httpsUnauthenticated),
        Row(
            failure: .overloaded(.upstreamQueue), status: 503, error: "limited", reason: .upstreamQueue,
            reloads: 2),
        Row(failure: .unauthorized(.none), status: 401, error: "unauthorized", reason: .unauthorized),
        Row(failure: .unauthorized(.expired), status: 401, error: "unauthorized", reason: .unauthorized),
        Row(failure: .unauthorized(.revoked), status: 401, error: "unauthorized", reason: .unauthorized),
        Row(failure: .forbidden("why"), status: 403, error: "forbidden", reason: .forbidden),
        Row(
            failure: .noSuchIDE(isNavigation: true), status: 404, error: "no_such_ide", reason: .noSuchIde,
            reloads: 2),
        Row(
            failure: .noSuchIDE(isNavigation: false), status: 503, error: "no_such_ide", reason: .noSuchIde,
            reloads: 2),
        Row(failure: .moved, status: 503, error: "unreachable", reason: .unreachable, reloads: 2),
        Row(
            failure: .notYetRouted(until: 100), status: 404, error: "no_such_ide", reason: .noSuchIde,
            reloads: 2),
        Row(failure: .routeConflict, status: 503, error: "route_conflict", reason: .routeConflict),
        Row(
            failure: .unreachable, status: 503, error: "unreachable", reason: .unreachable, reloads: 2),
        Row(failure: .badGateway("what"), status: 502, error: "bad_gateway", reason: .badGateway),
        Row(
            failure: .upstreamTimeout, status: 504, error: "upstream_timeout", reason: .upstreamTimeout),
        Row(failure: .prefetch, status: 503, error: "unreachable", reason: .unreachable),
        Row(failure: .framedLaunch(.sameAddress), status: 403, error: "forbidden", reason: .forbidden),
        Row(failure: .notFound, status: 404, error: "not_found", reason: .notFound),
        Row(
            failure: .draining, status: 503, error: "unreachable", reason: .unreachable, closes: true,
            reloads: 2),
    ]

    @Test func theTableHasEveryCase() {
        #expect(Set(Self.rows.map(\.failure.number)) == Set(0...21))
    }

    @Test(arguments: rows)
    func isAnswered(_ row: Row) {
        let failure = row.failure
        #expect(failure.status == row.status)
        #expect("\(failure.error)" == row.error)
        #expect(failure.reason == row.reason)
        #expect(failure.closesConnection == row.closes)
        #expect(failure.reloadSeconds == row.reloads)
        #expect("\(reasonPhrase(row.status))" != "Unknown")
        // Both are put into JSON and HTML as they are.
        for text in ["\(failure.text.title)", "\(failure.text.message)", "\(failure.text.advice)"] {
            #expect(!text.contains { "\"\\<>&".contains($0) || $0.isNewline }, "\(text)")
        }
        #expect(!"\(failure.text.message)".isEmpty)
    }

    @Test(arguments: rows)
    func isShownAsAPage(_ row: Row) {
        var page = ByteBuffer()
        FailurePage.append(row.failure, id: requestID, now: 50, to: &page)
        let text = string(page)
        #expect(text.hasPrefix("<!doctype html>") && text.hasSuffix("</html>\n"))
        #expect(text.contains("\(row.status)") && text.contains(requestIDText))
        #expect(text.contains("\(row.failure.text.message)"))
        #expect(text.contains("http-equiv=\"refresh\"") == (row.reloads != nil))
        // Self-contained: nothing that loads or runs, no link but to the same address.
        for word in ["src=", "href=\"h", "href=\"/", "<script", "url(", "@import"] {
            #expect(!text.contains(word), "\(word)")
        }
    }

    /// What a stranger posts is only ever text on the page.
    @Test func aFormIsOfferedAgain() {
        var page = ByteBuffer()
        let offer = TabOffer.form(token: Array("a\"b".utf8), next: Array("/<&>".utf8))
        FailurePage.append(.framedLaunch(offer), id: requestID, now: 50, to: &page)
        let text = string(page)
        #expect(text.contains("name=\"token\" value=\"a&quot;b\">"))
        #expect(text.contains("name=\"next\" value=\"/&lt;&amp;&gt;\">"))
        #expect(!text.contains("href="))
    }

    @Test func aLaunchStopsTryingWhenItsTokenIsOver() {
        func reloads(now: Int64) -> Bool {
            var page = ByteBuffer()
            FailurePage.append(.notYetRouted(until: 100), id: requestID, now: now, to: &page)
            return string(page).contains("refresh")
        }
        #expect(reloads(now: 99))
        #expect(!reloads(now: 100))
        #expect(!reloads(now: 101))
    }

    @Test(arguments: [(LoginReason.none, "none"), (.expired, "expired"), (.revoked, "revoked")])
    func loginReasons(reason: LoginReason, word: String) { #expect("\(reason.word)" == word) }
}

@Suite struct RedirectLedgerTests {
    private static let alice = IPAddress("203.0.113.7")!
    private static let bob = IPAddress("203.0.113.8")!

    @Test func aBrowserThatGoesRoundIsStopped() {
        let ledger = RedirectLedger()
        let allowed = (0..<6).map { ledger.allows(Self.alice, vmid: 1, nowMs: UInt64($0) * 100) }
        #expect(allowed == [true, true, true, false, false, false])
        #expect(ledger.allows(Self.alice, vmid: 2, nowMs: 600), "another container counts for itself")
        #expect(ledger.allows(Self.bob, vmid: 1, nowMs: 600), "another source too")
    }

    @Test func itIsForgivenAfterTenSeconds() {
        let ledger = RedirectLedger()
        for at in [UInt64(0), 4000, 8000] { #expect(ledger.allows(Self.alice, vmid: 1, nowMs: at)) }
        #expect(!ledger.allows(Self.alice, vmid: 1, nowMs: 9999))
        #expect(ledger.allows(Self.alice, vmid: 1, nowMs: 10_000))
        #expect(!ledger.allows(Self.alice, vmid: 1, nowMs: 10_001))
    }

    /// A flood from ever new sources costs bounded memory and stops nobody else.
    @Test func aFloodIsForgotten() {
        let ledger = RedirectLedger()
        for number in 0..<10_000 as Range<UInt32> {
            #expect(ledger.allows(IPAddress(ipv4: number), vmid: 1, nowMs: 5))
        }
        #expect(ledger.allows(Self.alice, vmid: 1, nowMs: 6))
    }
}
