import Identity
import Wire

/// The launches of the last seconds. A second click on a launch link cancels the answer to the first, and the cookie in
/// it is lost; so whoever comes back with the token at once gets the session again, until its cookie has been seen.
/// `GatewayShared` guards it.
struct RecentLaunches {
    private struct Launch {
        let session: Session
        let address: IPAddress
        let atMs: UInt64
    }

    private static let capacity = 4096
    private static let windowMs: UInt64 = 10_000
    /// By the hash of the token's bytes: it is the same link that is clicked twice.
    private var launches: [[UInt8]: Launch] = [:]

    /// Notes that `session` was made of the token. While too many are fresh, a new one is not noted.
    mutating func note(_ link: [UInt8], _ session: Session, from address: IPAddress, nowMs: UInt64) {
        if launches.count >= Self.capacity {
            launches = launches.filter { nowMs &- $0.value.atMs < Self.windowMs && !$0.value.session.isUsed }
            if launches.count >= Self.capacity { return }
        }
        launches[link] = Launch(session: session, address: address, atMs: nowMs)
    }

    /// The session made of the token, when the same address launched it just now and its cookie has not been seen.
    func unused(_ link: [UInt8], from address: IPAddress, nowMs: UInt64) -> Session? {
        guard let launch = launches[link], launch.address == address, nowMs &- launch.atMs < Self.windowMs,
            !launch.session.isUsed
        else { return nil }
        return launch.session
    }
}
