/// What lives on a loop beside its owner: it is told of the end of each turn, and says when the loop may stop for all it
/// cares. Used on the loop's thread alone.
public protocol LoopGuest: AnyObject {
    /// Whether it was told to end and nothing of it is left.
    var isFinished: Bool { get }
    /// Ends all that is left of it, now.
    func stopNow()
    /// A turn is over: the place for what is done once for many events.
    func turnEnded()
}
