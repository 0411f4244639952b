import Testing
import Wire

@testable import Limits

@Suite struct PenaltyTests {
    let mallory = address("198.51.100.7")

    @Test(arguments: [
        (Misdeed.malformed, 5), (.forgedForwarding, 2), (.badSignature, 5), (.slowHandshake, 20), (.unknownHost, 100),
    ])
    func blocksAtTwentyPoints(_ misdeed: Misdeed, _ needed: Int) {
        let table = SourceTable(SourceSettings())
        for count in 1..<needed {
            #expect(!table.penalise(mallory, .minecraft, misdeed, nowMs: 1000), "after \(count)")
        }
        #expect(table.penalise(mallory, .minecraft, misdeed, nowMs: 1000))
        #expect(table.connect(mallory, .minecraft, nowMs: 1000) == .refused(.blocked(retryAfterMs: 300_000)))
        #expect(table.blockedMs(mallory, .minecraft, nowMs: 2000) == 299_000)
    }

    @Test func aSecondApartIsStillQuick() {
        let table = SourceTable(SourceSettings())
        let blocked = (0..<5).map { table.penalise(mallory, .https, .malformed, nowMs: 1000 + Int64($0) * 300) }
        #expect(blocked == [false, false, false, false, true])
    }

    @Test func theBlockEndsAndHoldsForItsKindOnly() {
        let table = SourceTable(SourceSettings())
        for _ in 0..<2 { table.penalise(mallory, .minecraft, .forgedForwarding, nowMs: 0) }
        #expect(isAdmitted(table.connect(mallory, .https, nowMs: 0)))
        #expect(isAdmitted(table.connect(address("198.51.100.8"), .minecraft, nowMs: 0)))
        #expect(table.connect(mallory, .minecraft, nowMs: 299_999) == .refused(.blocked(retryAfterMs: 1)))
        #expect(isAdmitted(table.connect(mallory, .minecraft, nowMs: 300_000)))
        #expect(table.blockedMs(mallory, .minecraft, nowMs: 300_000) == 0)
    }

    @Test func scoresHalveInAMinute() {
        let table = SourceTable(SourceSettings())
        for _ in 0..<4 { table.penalise(mallory, .https, .malformed, nowMs: 0) }
        // 16 are 8 after a minute: two more make 16, three 20.
        #expect(!table.penalise(mallory, .https, .malformed, nowMs: 60_000))
        #expect(!table.penalise(mallory, .https, .malformed, nowMs: 60_000))
        #expect(table.penalise(mallory, .https, .malformed, nowMs: 60_000))
    }

    /// One misdeed in half a minute tends to 4 / (1 - 2^-0.5) = 13.7 points, for ever below the block.
    @Test func aSlowTrickleIsNeverBlocked() {
        let table = SourceTable(SourceSettings())
        for turn in 0..<1000 {
            #expect(!table.penalise(mallory, .https, .malformed, nowMs: Int64(turn) * 30_000))
        }
    }

    @Test func openConnectionsSurviveABlockAndMayExtendIt() {
        let table = SourceTable(SourceSettings())
        guard case .admitted(let ticket) = table.connect(mallory, .https, nowMs: 0) else {
            Issue.record("not admitted")
            return
        }
        for _ in 0..<5 { table.penalise(mallory, .https, .malformed, nowMs: 0) }
        #expect(table.penalise(mallory, .https, .slowHandshake, nowMs: 1000))
        table.disconnect(ticket)
        #expect(table.connect(mallory, .https, nowMs: 300_500) == .refused(.blocked(retryAfterMs: 500)))
        #expect(isAdmitted(table.connect(mallory, .https, nowMs: 301_000)))
    }

    @Test func weightsAndThresholdsAreSettable() {
        var settings = SourceSettings(penaltyScore: 3, halfLifeMs: 1000, blockMs: 10)
        settings.weights.unknownHost = 3
        let table = SourceTable(settings)
        #expect(table.penalise(mallory, .https, .unknownHost, nowMs: 0))
        #expect(isAdmitted(table.connect(mallory, .https, nowMs: 10)))
        settings.penaltyScore = 0
        table.apply(settings)
        #expect((0..<1000).allSatisfy { _ in !table.penalise(mallory, .https, .unknownHost, nowMs: 20) })
    }

    func isAdmitted(_ admission: SourceTable.Admission) -> Bool {
        if case .admitted = admission { true } else { false }
    }
}
