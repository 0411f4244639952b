import Testing
import Wire

@testable import Limits

/// Random operations on a small table, against a plain dictionary: whoever has open connections is never forgotten.
@Suite struct SourceTableModelTests {
    @Test(arguments: [1, 3, 17, 200]) func openCountsAgreeWithADictionary(_ tracked: Int) {
        var settings = SourceTableTests.settings(connections: 4, perSecond: 0, tracked: tracked)
        settings.https.connections = 4
        let table = SourceTable(settings)
        var random = SystemRandomNumberGenerator()
        var open: [Int: [SourceTable.Ticket]] = [:]
        var shared = 0
        for turn in 0..<20_000 {
            let who = Int.random(in: 0..<60, using: &random)
            let now = Int64(turn) * 50
            switch Int.random(in: 0..<8, using: &random) {
            case 0...2:
                let blocked = table.blockedMs(SprayTests.sprayed(who), .https, nowMs: now) > 0
                switch table.connect(SprayTests.sprayed(who), .https, nowMs: now) {
                case .admitted(let ticket):
                    #expect(!blocked)
                    open[who, default: []].append(ticket)
                    if ticket.shard == UInt16.max { shared += 1 }
                case .refused(.blocked): #expect(blocked)
                case .refused(.tooManyConnections), .refused(.untracked):
                    let own = open[who, default: []].count { $0.shard != UInt16.max }
                    #expect(own == 4 || shared >= 4, "\(own) own, \(shared) shared")
                case .refused(.connectRate), .refused(.tooManyPlaces): Issue.record("no rate is set")
                }
            case 3...5:
                guard let ticket = open[who]?.popLast() else { continue }
                if ticket.shard == UInt16.max { shared -= 1 }
                table.disconnect(ticket)
            case 6: table.penalise(SprayTests.sprayed(who), .https, .malformed, nowMs: now)
            default: _ = table.takeStatus(SprayTests.sprayed(who), nowMs: now)
            }
            #expect(table.overflowConnections == shared)
            #expect(table.trackedSources <= tracked)
        }
    }
}
