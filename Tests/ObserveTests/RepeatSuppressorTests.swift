import Observe
import Testing

@Suite struct RepeatSuppressorTests {
    @Test func theFirstPassAndTheRestAreCounted() {
        var repeats = RepeatSuppressor(reasons: 3, passes: 2, windowMs: 10_000)
        let passed = (0..<5).map { repeats.allow(1, nowMs: 100 + $0) }
        #expect(passed == [true, true, false, false, false])
        let other = repeats.allow(2, nowMs: 103)
        #expect(other)
        let early = repeats.nextSummary(nowMs: 10_099)
        #expect(early == nil)
        let summary = repeats.nextSummary(nowMs: 10_100)
        #expect(summary?.reason == 1 && summary?.suppressed == 3)
        let none = repeats.nextSummary(nowMs: 99_999)
        #expect(none == nil)
        let again = repeats.allow(1, nowMs: 10_101)
        #expect(again)
    }

    @Test func aNewWindowDoesNotLoseTheLastOnesCount() {
        var repeats = RepeatSuppressor(reasons: 1, passes: 1, windowMs: 1000)
        let first = (0..<4).map { _ in repeats.allow(0, nowMs: 0) }
        let second = (0..<3).map { _ in repeats.allow(0, nowMs: 1000) }
        #expect(first == [true, false, false, false] && second == [true, false, false])
        let one = repeats.nextSummary(nowMs: 1500)
        #expect(one?.suppressed == 3)
        let two = repeats.nextSummary(nowMs: 1500)
        #expect(two == nil)
        let three = repeats.nextSummary(nowMs: 2000)
        #expect(three?.suppressed == 2)
        let four = repeats.nextSummary(nowMs: 9000)
        #expect(four == nil)
    }

    @Test func unknownReasonsPass() {
        var repeats = RepeatSuppressor(reasons: 1, passes: 0)
        let answers = [0, -1, 7].map { repeats.allow($0, nowMs: 0) }
        #expect(answers == [false, true, true])
    }

    /// Whatever comes: what passed and what the summaries say is all there was.
    @Test func nothingIsLost() {
        var random = SystemRandomNumberGenerator()
        var repeats = RepeatSuppressor(reasons: 4, passes: 3, windowMs: 100)
        var (sent, accounted, now) = (0, 0, Int64(0))
        for _ in 0..<20_000 {
            now += Int64.random(in: 0...9, using: &random)
            if Int.random(in: 0..<10, using: &random) == 0 {
                while let summary = repeats.nextSummary(nowMs: now) { accounted += summary.suppressed }
            } else {
                sent += 1
                if repeats.allow(.random(in: 0..<4, using: &random), nowMs: now) { accounted += 1 }
            }
        }
        while let summary = repeats.nextSummary(nowMs: now + 100) { accounted += summary.suppressed }
        #expect(sent == accounted)
    }
}
