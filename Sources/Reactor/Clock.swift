import Glibc

/// The two clocks of the program. A loop reads them once a turn and hands the values on.
public enum Clock {
    /// Milliseconds that never jump.
    public static func monotonicMs() -> UInt64 { monotonicUs() / 1000 }

    /// Microseconds that never jump.
    public static func monotonicUs() -> UInt64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000 + UInt64(time.tv_nsec) / 1000
    }

    /// Milliseconds since 1970.
    public static func epochMs() -> Int64 {
        var time = timespec()
        _ = unsafe clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
