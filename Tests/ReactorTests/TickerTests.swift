import Testing

@testable import Reactor

@Suite struct TickerTests {
    @Test(.timeLimit(.minutes(1)))
    func ticksAgainAndAgain() throws {
        let loop = try EventLoop()
        var ticks: [UInt64] = []
        loop.tick(everyMs: 20) { ticks.append(loop.nowMs) }
        let begin = loop.nowMs
        while ticks.count < 3 { try loop.turn(waitAtMostMs: 1000) }
        #expect(ticks[0] >= begin + 20)
        for (earlier, later) in zip(ticks, ticks.dropFirst()) { #expect(later >= earlier + 20) }
    }
}
