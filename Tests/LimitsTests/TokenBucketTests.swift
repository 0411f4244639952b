import Testing

@testable import Limits

@Suite struct TokenBucketTests {
    struct Step: Sendable {
        let atMs: Int64
        let taken: Bool
        /// What `msUntilNext` says after the step.
        let wait: Int64
    }

    struct Story: Sendable, CustomTestStringConvertible {
        let perSecond: Double
        let burst: Double
        let steps: [Step]
        var testDescription: String { "\(perSecond)/s, burst \(burst)" }
    }

    static let stories = [
        Story(
            perSecond: 2, burst: 3,
            steps: [
                .init(atMs: 1000, taken: true, wait: 0), .init(atMs: 1000, taken: true, wait: 0),
                .init(atMs: 1000, taken: true, wait: 500), .init(atMs: 1499, taken: false, wait: 1),
                .init(atMs: 1500, taken: true, wait: 500), .init(atMs: 1501, taken: false, wait: 499),
                // A refused attempt costs nothing, and an idle second gives two back.
                .init(atMs: 2500, taken: true, wait: 0), .init(atMs: 2500, taken: true, wait: 500),
                // Never more than the burst, however long it rests.
                .init(atMs: 900_000, taken: true, wait: 0), .init(atMs: 900_000, taken: true, wait: 0),
                .init(atMs: 900_000, taken: true, wait: 500), .init(atMs: 900_000, taken: false, wait: 500),
            ]),
        // A rate that milliseconds cannot express.
        Story(
            perSecond: 3, burst: 1,
            steps: [
                .init(atMs: 0, taken: true, wait: 334), .init(atMs: 333, taken: false, wait: 1),
                .init(atMs: 334, taken: true, wait: 334), .init(atMs: 667, taken: false, wait: 1),
                .init(atMs: 668, taken: true, wait: 334),
            ]),
        // A burst below one is one; 0 per second limits nothing.
        Story(perSecond: 1, burst: 0, steps: [.init(atMs: 5, taken: true, wait: 1000)]),
        Story(perSecond: 0, burst: 0, steps: Array(repeating: Step(atMs: 5, taken: true, wait: 0), count: 9)),
        // A clock that goes back finds an empty bucket at worst.
        Story(
            perSecond: 1, burst: 1,
            steps: [.init(atMs: 5000, taken: true, wait: 1000), .init(atMs: 3000, taken: false, wait: 1000)]),
    ]

    @Test(arguments: stories) func refills(_ story: Story) {
        var bucket = TokenBucket(perSecond: story.perSecond, burst: story.burst)
        for step in story.steps {
            let taken = bucket.take(nowMs: step.atMs)
            #expect(taken == step.taken, "at \(step.atMs)")
            #expect(bucket.msUntilNext(nowMs: step.atMs) == step.wait, "at \(step.atMs)")
        }
    }

    @Test func takesSeveralOrNone() {
        var bucket = TokenBucket(perSecond: 100, burst: 1000)
        let attempts: [(Int64, Int)] = [(0, 999), (0, 2), (0, 1), (10_000, 1000), (10_000_000, 1001)]
        let taken = attempts.map { bucket.take(nowMs: $0, count: $1) }
        #expect(taken == [true, false, true, true, false])
    }

    @Test(arguments: [Int64.min, -1, 0, 1, .max - 1, .max]) func survivesAnyClock(_ start: Int64) {
        for rate in [1e-12, 0.001, 1, 1e12, .infinity, .nan, -1] {
            var bucket = TokenBucket(perSecond: rate, burst: 1e300)
            for now in [start, 0, .max, .min, start] {
                _ = bucket.take(nowMs: now)
                _ = bucket.take(nowMs: now, count: .max)
                #expect(bucket.msUntilNext(nowMs: now) >= 0)
            }
        }
    }

    /// Over any stretch, no more than the burst and what came back; and never less than what a plain model gives.
    @Test func agreesWithAPlainModel() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<200 {
            let interval = Int64.random(in: 1...2000, using: &random)
            let burst = Int64.random(in: 1...20, using: &random)
            var bucket = TokenBucket(perSecond: 1000 / Double(interval), burst: Double(burst))
            // The model counts in thousandths of the interval: exact for intervals of whole milliseconds.
            var (tokens, last, now) = (burst * interval, Int64(0), Int64(0))
            for _ in 0..<300 {
                now += Int64.random(in: 0...interval, using: &random) * Int64.random(in: 0...2, using: &random)
                tokens = min(tokens + now - last, burst * interval)
                last = now
                let expected = tokens >= interval
                if expected { tokens -= interval }
                let taken = bucket.take(nowMs: now)
                #expect(taken == expected, "interval \(interval) burst \(burst) at \(now)")
                let wait = max(interval - tokens, 0)
                #expect(bucket.msUntilNext(nowMs: now) == wait)
            }
        }
    }
}
