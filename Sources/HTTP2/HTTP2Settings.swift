/// What one session is held to. A value of plain numbers; whoever makes sessions keeps one.
public struct HTTP2Settings: Sendable {
    /// Requests that a client may have open at a time (SETTINGS_MAX_CONCURRENT_STREAMS).
    public var streams: Int
    /// Bytes of bodies that all streams together may have sent us ahead of `consumed`.
    public var connectionWindow: Int
    /// Bytes of its body that one stream may have sent us ahead of `consumed` (SETTINGS_INITIAL_WINDOW_SIZE).
    public var streamWindow: Int
    /// Bytes of a request head: names, values and 32 for each field (RFC 9113 section 6.5.2), pseudo-fields and each
    /// piece of a cookie included (SETTINGS_MAX_HEADER_LIST_SIZE).
    public var headBytes: Int
    /// Fields of a request head, counted as `headBytes` counts.
    public var headFields: Int
    /// So many frames that are of no use to an honest client, within so many milliseconds.
    public var abuse: (count: Int, perMs: Int)
    /// Requests that one call of `receive` begins.
    public var newStreams: Int

    /// The given bounds. What the protocol cannot express is brought into its range.
    public init(
        streams: Int = 100, connectionWindow: Int = 1 << 20, streamWindow: Int = 64 << 10, headBytes: Int = 32 << 10,
        headFields: Int = 100, abuse: (count: Int, perMs: Int) = (1000, 10_000), newStreams: Int = 32
    ) {
        self.streams = min(max(streams, 1), 1 << 16)
        self.connectionWindow = min(max(connectionWindow, 65_535), Int(Int32.max))
        self.streamWindow = min(max(streamWindow, 1), Int(Int32.max))
        self.headBytes = min(max(headBytes, 1), 1 << 30)
        self.headFields = min(max(headFields, 1), Self.farTooManyFields)
        self.abuse = (min(max(abuse.count, 1), 1 << 30), min(max(abuse.perMs, 1), 1 << 30))
        self.newStreams = max(newStreams, 1)
    }

    /// By how much the windows of streams may be widened in all: streams that stall leave four others their own.
    var wideningRoom: Int { max(0, connectionWindow - 4 * streamWindow) }

    /// Fields of one header block after which the connection is not worth keeping.
    static let farTooManyFields = 1000
    /// Bytes of a trailer section, counted as `headBytes` counts.
    static let trailerBytes = 8 << 10
}
