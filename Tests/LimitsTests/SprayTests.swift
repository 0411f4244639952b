import Testing
import Wire

@testable import Limits

/// The table under many sources: bounded, and fair to those that matter.
@Suite(.serialized) struct SprayTests {
    static func sprayed(_ at: Int) -> IPAddress {
        IPAddress(high: 0x2001_0db8_0000_0000 &+ UInt64(at), low: UInt64(at) &* 0x9e37_79b9)
    }

    @Test func aMillionPrefixesChangeNothingForAnHonestSource() throws {
        let table = SourceTable(SourceSettings())
        let (honest, blocked) = (address("192.0.2.1"), address("198.51.100.7"))
        var tickets: [SourceTable.Ticket] = []
        for _ in 0..<1023 {
            // Eleven seconds, so that the rate does not matter.
            if case .admitted(let ticket) = table.connect(honest, .https, nowMs: Int64(tickets.count) * 11) {
                tickets.append(ticket)
            }
        }
        #expect(tickets.count == 1023)
        for _ in 0..<2 { table.penalise(blocked, .https, .forgedForwarding, nowMs: 12_000) }

        // Fill the table first: what it holds when full is its bound.
        for at in 0..<200_000 { spray(table, at) }
        let (storage, before) = (table.storageBytes, try #require(SystemMemory.residentBytes()))
        for at in 200_000..<1_000_000 { spray(table, at) }
        let after = try #require(SystemMemory.residentBytes())
        #expect(table.storageBytes == storage && storage < 16 << 20, "holds \(table.storageBytes)")
        // Other tests run beside this one; remembering all would be over 100 MiB.
        #expect(after - before < 64 << 20, "grew by \(after - before)")
        #expect(table.trackedSources == 65536)
        #expect(table.overflowConnections == 0)

        // One more is allowed and no second: nothing of it was forgotten.
        #expect(isAdmitted(table.connect(honest, .https, nowMs: 14_000)))
        #expect(table.connect(honest, .https, nowMs: 14_000) == .refused(.tooManyConnections))
        #expect(table.connect(blocked, .https, nowMs: 14_000) == .refused(.blocked(retryAfterMs: 298_000)))
    }

    private func spray(_ table: SourceTable, _ at: Int) {
        if case .admitted(let ticket) = table.connect(Self.sprayed(at), .https, nowMs: 13_000) {
            table.disconnect(ticket)
        } else {
            Issue.record("refused")
        }
    }

    @Test func whoFindsNoPlaceSharesOneBucket() {
        var settings = SourceTableTests.settings(connections: 3, tracked: 16)
        settings.https.connections = 3
        let table = SourceTable(settings)
        var tickets = (0..<16).map { table.connect(Self.sprayed($0), .https, nowMs: 0) }
        #expect(table.trackedSources == 16 && table.overflowConnections == 0)
        tickets += (16..<19).map { table.connect(Self.sprayed($0), .https, nowMs: 0) }
        #expect(tickets.allSatisfy(isAdmitted) && table.overflowConnections == 3)
        #expect(table.connect(Self.sprayed(19), .https, nowMs: 0) == .refused(.untracked(retryAfterMs: nil)))
        // Known sources keep their own counts.
        #expect(isAdmitted(table.connect(Self.sprayed(3), .https, nowMs: 0)))
        // The others' rates are shared as well, and none of them can be blamed for the rest.
        #expect((20..<23).map { table.takeUnauthenticated(Self.sprayed($0), nowMs: 0) } == [nil, nil, 1000])
        #expect(!table.hasUnauthenticated(Self.sprayed(99), nowMs: 0))
        #expect((0..<99).allSatisfy { _ in !table.penalise(Self.sprayed(20), .https, .malformed, nowMs: 0) })
        for case .admitted(let ticket) in tickets { table.disconnect(ticket) }
        #expect(table.overflowConnections == 0)
        #expect(isAdmitted(table.connect(Self.sprayed(19), .https, nowMs: 0)))
        #expect(table.overflowConnections == 0 && table.trackedSources == 16)
    }

    @Test func forgetsIdleBeforeBlockedAndNeverOpen() {
        let table = SourceTable(SourceTableTests.settings(connections: 1, tracked: 4))
        let (open, blocked, idle, other) = (Self.sprayed(1), Self.sprayed(2), Self.sprayed(3), Self.sprayed(4))
        _ = table.connect(open, .https, nowMs: 0)
        for _ in 0..<2 { table.penalise(blocked, .https, .forgedForwarding, nowMs: 0) }
        _ = table.takeLogin(idle, nowMs: 0)
        _ = table.takeLogin(other, nowMs: 0)
        // `other` was used last, so `idle` goes first; then `other`.
        _ = table.connect(Self.sprayed(5), .https, nowMs: 0)
        #expect(table.hasLogin(idle, nowMs: 0) && !table.hasLogin(other, nowMs: 0))
        _ = table.connect(Self.sprayed(6), .https, nowMs: 0)
        #expect(table.hasLogin(other, nowMs: 0))
        #expect(table.blockedMs(blocked, .https, nowMs: 0) == 300_000)
        // Only the blocked one is left to forget, and then there is no place.
        _ = table.connect(Self.sprayed(7), .https, nowMs: 0)
        #expect(table.blockedMs(blocked, .https, nowMs: 0) == 0)
        #expect(table.connect(open, .https, nowMs: 0) == .refused(.tooManyConnections))
        #expect(table.overflowConnections == 0)
        _ = table.connect(Self.sprayed(8), .https, nowMs: 0)
        #expect(table.overflowConnections == 1)
    }

    @Test func anEndedBlockIsForgottenFirst() {
        let table = SourceTable(SourceTableTests.settings(tracked: 2))
        let (blocked, idle) = (Self.sprayed(1), Self.sprayed(2))
        for _ in 0..<2 { table.penalise(blocked, .https, .forgedForwarding, nowMs: 0) }
        _ = table.takeLogin(idle, nowMs: 300_000)
        _ = table.takeLogin(Self.sprayed(3), nowMs: 300_001)
        #expect(!table.hasLogin(idle, nowMs: 300_001))
    }

    @Test func knockingDoesNotMakeABlockYounger() {
        let table = SourceTable(SourceTableTests.settings(tracked: 2))
        let (older, younger) = (Self.sprayed(1), Self.sprayed(2))
        for _ in 0..<2 { table.penalise(older, .https, .forgedForwarding, nowMs: 0) }
        for _ in 0..<2 { table.penalise(younger, .https, .forgedForwarding, nowMs: 100_000) }
        #expect(table.connect(older, .https, nowMs: 150_000) == .refused(.blocked(retryAfterMs: 150_000)))
        _ = table.connect(Self.sprayed(3), .https, nowMs: 200_000)
        #expect(table.blockedMs(older, .https, nowMs: 200_000) == 0)
        #expect(table.blockedMs(younger, .https, nowMs: 200_000) == 200_000)
    }

    /// Four threads open and close for a few sources that all share: the counts must come out even.
    @Test(.timeLimit(.minutes(1))) func countsStayExactUnderConcurrency() async {
        var settings = SourceTableTests.settings(connections: 50, perSecond: 0, tracked: 64)
        settings.minecraft.connections = 50
        let table = SourceTable(settings)
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    var tickets: [SourceTable.Ticket] = []
                    for turn in 0..<30_000 {
                        let source = Self.sprayed((turn &* 7 &+ worker) % 40)
                        let kind: ListenerKind = turn % 3 == 0 ? .minecraft : .https
                        if case .admitted(let ticket) = table.connect(source, kind, nowMs: Int64(turn)) {
                            tickets.append(ticket)
                        }
                        if turn % 5 == 0 { _ = table.takeStatus(source, nowMs: Int64(turn)) }
                        if tickets.count > 100 { table.disconnect(tickets.remove(at: turn % 100)) }
                    }
                    for ticket in tickets { table.disconnect(ticket) }
                }
            }
        }
        // Exactly the limit fits again, for every source and kind: nothing leaked, nothing was lost.
        for source in (0..<40).map(Self.sprayed) {
            for kind in ListenerKind.allCases {
                #expect((0..<50).allSatisfy { _ in isAdmitted(table.connect(source, kind, nowMs: 60_000)) })
                #expect(table.connect(source, kind, nowMs: 60_000) == .refused(.tooManyConnections))
            }
        }
    }

    private func isAdmitted(_ admission: SourceTable.Admission) -> Bool {
        if case .admitted = admission { true } else { false }
    }
}
