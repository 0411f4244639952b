/// The fixed buckets of all latency histograms, in microseconds; the last, unbounded one is implied.
enum Buckets {
    static let count = 17

    /// The upper bound of bucket `at` in microseconds.
    static func bound(_ at: Int) -> UInt64 {
        switch at {
        case 0: 500
        case 1: 1000
        case 2: 2500
        case 3: 5000
        case 4: 10000
        case 5: 25000
        case 6: 50000
        case 7: 100_000
        case 8: 250_000
        case 9: 500_000
        case 10: 1_000_000
        case 11: 2_500_000
        case 12: 5_000_000
        case 13: 10_000_000
        case 14: 30_000_000
        case 15: 60_000_000
        default: .max
        }
    }

    /// The bucket of a value. Most requests are fast, so the search goes up from the shortest.
    static func index(_ microseconds: UInt64) -> Int {
        var at = 0
        while at < count - 1, microseconds > bound(at) { at += 1 }
        return at
    }
}
