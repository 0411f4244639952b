import Testing
import Wire

@testable import Limits

/// An address from its text.
func address(_ text: String) -> IPAddress {
    IPAddress(text) ?? IPAddress(high: 0, low: 0)
}

@Suite struct SourceTableTests {
    let alice = address("192.0.2.1")
    let bob = address("192.0.2.2")

    static func settings(
        connections: Int = 3, perSecond: Double = 1000, burst: Double = 1000, exempt: [String] = [], tracked: Int = 1000
    ) -> SourceSettings {
        var limits = KindLimits.https
        limits.connections = connections
        limits.connectsPerSecond = perSecond
        limits.connectBurst = burst
        var minecraft = limits
        minecraft.status = TokenRate(perSecond: 10, burst: 3)
        minecraft.login = TokenRate(perSecond: 2, burst: 1)
        limits.unauthenticated = TokenRate(perSecond: 1, burst: 2)
        return SourceSettings(
            tracked: tracked, exempt: exempt.compactMap { CIDR($0) }, https: limits, minecraft: minecraft)
    }

    func ticket(_ admission: SourceTable.Admission) throws -> SourceTable.Ticket {
        guard case .admitted(let ticket) = admission else { throw Refused(admission: admission) }
        return ticket
    }

    struct Refused: Error {
        let admission: SourceTable.Admission
    }

    @Test func streamsOfOneSourceAreBoundedAndMayOutliveItsConnection() throws {
        var settings = Self.settings(exempt: ["192.0.2.2/32"], tracked: 1)
        settings.places = 2
        let table = SourceTable(settings)
        let open = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.takeStream(open) && table.takeStream(open) && !table.takeStream(open))
        let exempt = try ticket(table.connect(bob, .https, nowMs: 0))
        for _ in 0..<3 { #expect(table.takeStream(exempt)) }
        table.disconnect(open)
        // Its place is not another's before the streams are over.
        let shared = try ticket(table.connect(address("192.0.2.3"), .https, nowMs: 0))
        #expect(table.takeStream(shared))
        table.endStream(open)
        #expect(table.takeStream(open))
        table.endStream(open)
        table.endStream(open)
        table.endStream(shared)
        let next = try ticket(table.connect(address("192.0.2.4"), .https, nowMs: 0))
        #expect(next.place == open.place && next.shard == open.shard)
    }

    @Test func defaultsAreThoseOfTheExampleFile() {
        let settings = SourceSettings()
        #expect(settings.tracked == 65536 && settings.ipv4Bits == 32 && settings.ipv6Bits == 64)
        #expect(settings.https.connections == 1024 && settings.minecraft.connections == 128)
        #expect(settings.https.connects == TokenRate(perSecond: 100, burst: 200))
        #expect(settings.https.unauthenticated == TokenRate(perSecond: 10, burst: 50))
        #expect(settings.minecraft.connects == TokenRate(perSecond: 20, burst: 60))
        #expect(settings.minecraft.status == TokenRate(perSecond: 10, burst: 60))
        #expect(settings.minecraft.login == TokenRate(perSecond: 2, burst: 10))
        #expect(settings.penaltyScore == 20 && settings.halfLifeMs == 60_000 && settings.blockMs == 300_000)
        #expect(Misdeed.allCases.map { settings.weights[$0] } == [4, 10, 4, 1, 0.2])
    }

    @Test func countsOpenConnectionsPerSourceAndKind() throws {
        let table = SourceTable(Self.settings(connections: 2))
        let first = try ticket(table.connect(alice, .https, nowMs: 0))
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.tooManyConnections))
        _ = try ticket(table.connect(alice, .minecraft, nowMs: 0))
        _ = try ticket(table.connect(bob, .https, nowMs: 0))
        table.disconnect(first)
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.tooManyConnections))
        #expect(table.trackedSources == 2)
    }

    @Test func limitsTheConnectRate() throws {
        let table = SourceTable(Self.settings(connections: 0, perSecond: 4, burst: 2))
        for _ in 0..<2 { _ = try ticket(table.connect(alice, .https, nowMs: 0)) }
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.connectRate(retryAfterMs: 250)))
        #expect(table.connect(alice, .https, nowMs: 249) == .refused(.connectRate(retryAfterMs: 1)))
        _ = try ticket(table.connect(alice, .https, nowMs: 250))
    }

    @Test func aReconnectingSourceStaysLimited() throws {
        let table = SourceTable(Self.settings(perSecond: 1, burst: 2))
        for _ in 0..<2 { table.disconnect(try ticket(table.connect(alice, .https, nowMs: 0))) }
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.connectRate(retryAfterMs: 1000)))
    }

    @Test(arguments: [
        ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
        ("2001:db8::1", "2001:db8:0:1::1", false),
        ("192.0.2.1", "::ffff:192.0.2.1", true),
        ("192.0.2.1", "192.0.2.2", false),
    ])
    func groupsByPrefix(_ one: String, _ other: String, _ same: Bool) throws {
        let table = SourceTable(Self.settings(connections: 1))
        _ = try ticket(table.connect(address(one), .https, nowMs: 0))
        let second = table.connect(address(other), .https, nowMs: 0)
        #expect((second == .refused(.tooManyConnections)) == same)
    }

    @Test func groupsByConfiguredPrefix() throws {
        var settings = Self.settings(connections: 1)
        settings.ipv4Bits = 24
        settings.ipv6Bits = 48
        let table = SourceTable(settings)
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(bob, .https, nowMs: 0) == .refused(.tooManyConnections))
        _ = try ticket(table.connect(address("2001:db8:1:2::1"), .https, nowMs: 0))
        #expect(table.connect(address("2001:db8:1:3::1"), .https, nowMs: 0) == .refused(.tooManyConnections))
    }

    @Test func exemptSourcesAreNeverLimitedOrPunished() throws {
        let table = SourceTable(Self.settings(connections: 1, perSecond: 1, burst: 1, exempt: ["192.0.2.0/24"]))
        for _ in 0..<100 {
            #expect(try ticket(table.connect(alice, .https, nowMs: 0)) == .none)
            #expect(table.takeUnauthenticated(alice, nowMs: 0) == nil)
            #expect(table.takeLogin(alice, nowMs: 0) == nil)
            #expect(!table.penalise(alice, .https, .forgedForwarding, nowMs: 0))
        }
        table.disconnect(.none)
        #expect(table.trackedSources == 0)
        _ = try ticket(table.connect(address("192.0.3.1"), .https, nowMs: 0))
        #expect(table.connect(address("192.0.3.1"), .https, nowMs: 0) == .refused(.tooManyConnections))
    }

    @Test func theThreeRatesAreApart() {
        let table = SourceTable(Self.settings())
        #expect((0..<3).map { _ in table.takeUnauthenticated(alice, nowMs: 0) } == [nil, nil, 1000])
        #expect((0..<4).map { _ in table.takeStatus(alice, nowMs: 0) } == [nil, nil, nil, 100])
        #expect((0..<2).map { _ in table.takeLogin(alice, nowMs: 0) } == [nil, 500])
        #expect(table.takeUnauthenticated(bob, nowMs: 0) == nil)
        #expect(table.takeUnauthenticated(alice, nowMs: 1000) == nil)
    }

    @Test func peekingTakesNothing() {
        let table = SourceTable(Self.settings())
        for _ in 0..<10 {
            #expect(table.hasUnauthenticated(alice, nowMs: 0) && table.hasLogin(alice, nowMs: 0))
            #expect(table.hasStatus(alice, nowMs: 0))
        }
        #expect(table.trackedSources == 0)
        _ = table.takeLogin(alice, nowMs: 0)
        #expect(!table.hasLogin(alice, nowMs: 0) && table.hasStatus(alice, nowMs: 0))
        #expect(table.hasLogin(alice, nowMs: 500))
    }

    @Test func newLimitsApplyAtOnce() throws {
        let table = SourceTable(Self.settings(connections: 1, perSecond: 1, burst: 1))
        let first = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.tooManyConnections))
        // The bucket is empty, and by the new rate the next token takes 10 ms and no longer a second.
        table.apply(Self.settings(connections: 2, perSecond: 100, burst: 10))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.connectRate(retryAfterMs: 10)))
        _ = try ticket(table.connect(alice, .https, nowMs: 10))
        #expect(table.connect(alice, .https, nowMs: 10) == .refused(.tooManyConnections))
        // A ticket from before the reload still counts, even if the source is exempt or grouped otherwise now.
        var other = Self.settings(connections: 2, exempt: ["198.51.100.0/24"])
        other.ipv4Bits = 8
        table.apply(other)
        table.disconnect(first)
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.overflowConnections == 0)
    }

    @Test func aTicketGivenBackTwiceDoesNoHarm() throws {
        let table = SourceTable(Self.settings(connections: 1))
        let first = try ticket(table.connect(alice, .https, nowMs: 0))
        table.disconnect(first)
        table.disconnect(first)
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.tooManyConnections))
    }

    @Test func oneSourceHasItsShareOfAllPlacesAtBothKindsTogether() throws {
        var settings = Self.settings(connections: 100)
        settings.places = 3
        let table = SourceTable(settings)
        let first = try ticket(table.connect(alice, .https, nowMs: 0))
        _ = try ticket(table.connect(alice, .minecraft, nowMs: 0))
        _ = try ticket(table.connect(alice, .https, nowMs: 0))
        #expect(table.connect(alice, .https, nowMs: 0) == .refused(.tooManyPlaces))
        #expect(table.connect(alice, .minecraft, nowMs: 0) == .refused(.tooManyPlaces))
        _ = try ticket(table.connect(bob, .https, nowMs: 0))
        table.disconnect(first)
        _ = try ticket(table.connect(alice, .minecraft, nowMs: 0))
    }

    @Test func refusalsOfOneSourceAreCountedApart() throws {
        let table = SourceTable(Self.settings(connections: 1, exempt: ["192.0.2.2"], tracked: 1))
        let two = try (0..<2).map { _ in try #require(table.takeRefusal(alice, atMost: 2, nowMs: 0)) }
        #expect(table.takeRefusal(alice, atMost: 2, nowMs: 0) == nil)
        #expect(table.takeRefusal(bob, atMost: 0, nowMs: 0) == SourceTable.Ticket.none, "exempt")
        // They are no open connections, and a source that has some is not forgotten.
        let open = try ticket(table.connect(alice, .https, nowMs: 0))
        table.disconnect(open)
        _ = table.takeLogin(address("192.0.2.3"), nowMs: 0)
        #expect(table.takeRefusal(alice, atMost: 2, nowMs: 0) == nil)
        for ticket in two { table.endRefusal(ticket) }
        #expect(table.takeRefusal(alice, atMost: 1, nowMs: 0) != nil)
    }

    @Test(
        arguments: [
            (SourceTable.Refusal.blocked(retryAfterMs: 7), 7), (.tooManyConnections, nil), (.tooManyPlaces, nil),
            (.untracked(retryAfterMs: 5), 5),
            (.connectRate(retryAfterMs: 9), 9),
        ] as [(SourceTable.Refusal, Int64?)])
    func refusalsSayWhenToComeBack(_ refusal: SourceTable.Refusal, _ retry: Int64?) {
        #expect(refusal.retryAfterMs == retry)
    }
}
