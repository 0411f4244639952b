/// One instant by both clocks, in seconds. The wall clock is what was agreed on with others (`exp`, `sabs`) and may
/// jump either way; how long something lasted is told by the steady one alone.
public struct Moment: Sendable, Equatable {
    /// Seconds since 1970.
    public var epoch: Int64
    /// Seconds of the monotonic clock.
    public var steady: Int64

    /// An instant by both clocks.
    public init(epoch: Int64, steady: Int64) {
        self.epoch = epoch
        self.steady = steady
    }

    /// The instant so many seconds later, by both clocks.
    public static func + (moment: Moment, seconds: Int64) -> Moment {
        Moment(epoch: moment.epoch + seconds, steady: moment.steady + seconds)
    }
}
