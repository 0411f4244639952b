/// The streams that the client opened and may still send on, and the last few that are gone (RFC 9113 section 5.1).
struct ClientStreams {
    enum Standing {
        /// The client did not end it.
        case open
        /// We did, and the client may not know yet.
        case closedByUs
        /// The client ended or reset it.
        case ended
        /// So long gone that it is not known who closed it.
        case forgotten
        /// The client passed it over, or ended it long ago.
        case never
    }

    /// The highest stream that the client opened.
    private(set) var last: UInt32 = 0
    private var opened: [UInt32] = []
    private let openLimit: Int
    /// A ring: the stream shifted left by one, and whether we closed it.
    private var gone = [UInt64](repeating: 0, count: 64)
    private var goneNext = 0
    /// Up to here there may be streams that we closed and forgot.
    private var forgotten: UInt32 = 0

    init(_ streams: Int) {
        // nghttp2 refuses streams without telling; those wait here until the client ends them or they are too many.
        openLimit = 2 &* streams &+ 64
        opened.reserveCapacity(min(openLimit, 64))
    }

    func standing(_ id: UInt32) -> Standing {
        if opened.contains(id) { return .open }
        for entry in gone where UInt32(truncatingIfNeeded: entry &>> 1) == id {
            return entry & 1 == 1 ? .closedByUs : .ended
        }
        return id <= forgotten ? .forgotten : .never
    }

    mutating func open(_ id: UInt32) {
        last = id
        if opened.count == openLimit { remember(opened.removeFirst(), byUs: true) }
        opened.append(id)
    }

    mutating func ended(_ id: UInt32) {
        if remove(id) {
            remember(id, byUs: false)
        } else if let place = gone.firstIndex(of: UInt64(id) &<< 1 | 1) {
            gone[place] &= ~1
        }
    }

    mutating func closedByUs(_ id: UInt32) {
        if remove(id) { remember(id, byUs: true) }
    }

    private mutating func remove(_ id: UInt32) -> Bool {
        guard let place = opened.lastIndex(of: id) else { return false }
        opened.remove(at: place)
        return true
    }

    private mutating func remember(_ id: UInt32, byUs: Bool) {
        if gone[goneNext] & 1 == 1 { forgotten = max(forgotten, UInt32(truncatingIfNeeded: gone[goneNext] &>> 1)) }
        gone[goneNext] = UInt64(id) &<< 1 | (byUs ? 1 : 0)
        goneNext = (goneNext &+ 1) & 63
    }
}
