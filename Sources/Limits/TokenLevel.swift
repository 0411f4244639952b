/// How fast tokens come back and how many may be saved: `20/s, burst 60`.
///
/// Kept as integers in microseconds, so that refilling is exact and never drifts.
public struct TokenRate: Sendable, Equatable {
    /// Microseconds one token takes to come back; 0 when nothing is limited.
    let intervalUs: Int64
    /// Microseconds a full bucket is worth: `burst * intervalUs`.
    let depthUs: Int64

    static let deepest: Int64 = 1_000_000

    /// A bucket that always has a token.
    public static let unlimited = TokenRate(perSecond: 0, burst: 0)

    /// `perSecond` tokens a second, at most `burst` saved (1 at least). A rate of 0 limits nothing, as 0 does
    /// elsewhere in the configuration.
    public init(perSecond: Double, burst: Double) {
        guard perSecond > 0, perSecond.isFinite else {
            intervalUs = 0
            depthUs = 0
            return
        }
        // The bounds keep all sums far from overflow: a token a day, a million tokens.
        let interval = (1_000_000 / perSecond).rounded()
        intervalUs = Int64(min(max(interval, 1), 86_400_000_000))
        depthUs = Int64(min(max(burst.isFinite ? burst.rounded(.down) : 1, 1), Double(Self.deepest))) * intervalUs
    }
}

/// What one bucket holds, in eight bytes: the moment at which it is full again. (The generic cell rate algorithm: the
/// rate is not part of it, so a reload that changes the rate applies at once and thousands of buckets stay small.)
struct TokenLevel: Sendable {
    private var fullAtUs: Int64 = .min

    /// Takes `count` tokens, or none and says in how many milliseconds, rounded up, that many will be there.
    mutating func take(_ rate: TokenRate, nowMs: Int64, count: Int64 = 1) -> Int64? {
        if rate.intervalUs == 0 { return nil }
        let nowUs = Self.microseconds(nowMs)
        // Never emptier than empty: neither a slower rate before a reload nor a clock that went back lasts.
        let start = min(max(fullAtUs, nowUs), nowUs + rate.depthUs)
        // More than the deepest bucket is never there, whatever more is asked.
        let cost = rate.intervalUs * min(max(count, 0), TokenRate.deepest + 1)
        let wait = start - nowUs + cost - rate.depthUs
        fullAtUs = wait > 0 ? start : start + cost
        return wait > 0 ? (wait + 999) / 1000 : nil
    }

    private static func microseconds(_ ms: Int64) -> Int64 {
        let limit = Int64.max / 4000
        return min(max(ms, -limit), limit) * 1000
    }
}
