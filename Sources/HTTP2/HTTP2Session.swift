import CNGHTTP2
import Wire

/// The server's side of one HTTP/2 connection (RFC 9113): bytes go in and come out as events; answers go in and come
/// out as pieces to send. It owns no socket, no clock and no body.
///
/// nghttp2's callbacks only take notes or look something up; nothing happens behind the caller's back. After
/// `receive`, take all events; then, while `wantsToSend`, `collect` and take all pieces. It belongs to one connection
/// and is used on that connection's thread only.
@safe
public final class HTTP2Session {
    let session: OpaquePointer
    let settings: HTTP2Settings
    var frameGuard: FrameGuard
    /// Nothing more is fed: a GOAWAY with an error is queued or sent.
    var isTerminated = false
    /// nghttp2 failed in a way that leaves nothing to send.
    var isBroken = false

    // Receiving.
    var events: [HTTP2Event] = []
    var eventsTaken = 0
    var heads = ByteBuffer()
    var block: HeadBlock
    /// Where the input that nghttp2 is reading begins, how much it is, and its position in what `receive` was given.
    var inputStart: UInt = 0
    var inputCount = 0
    var inputPosition = 0
    /// DATA of refused requests, to be credited to the connection.
    var discarded = 0
    /// Streams to reset when nghttp2 has returned.
    var resetsDue: [(id: Int32, code: HTTP2Error)] = []
    /// Whether `receive` failed for a head of over 1000 fields.
    public internal(set) var hasFarTooManyFields = false
    /// Whether `receive` failed inside a head: it is no HPACK, or larger than nghttp2 unpacks (a field of 64 KiB, eight
    /// CONTINUATION frames).
    public internal(set) var failedInHead = false

    // Streams.
    var slots: [StreamSlot] = []
    var freeSlots: [Int] = []
    /// Bytes of bodies that were handed out and not consumed.
    var owed = 0
    /// By how much the receive windows of all open streams were widened.
    var widened = 0
    /// PRIORITY_UPDATEs that came before their request; a ring.
    var earlyPriorities: [(id: Int32, priority: HTTP2Priority)] = []
    var earlyNext = 0

    // Sending.
    var output = ByteBuffer()
    var pieces: [HTTP2Piece] = []
    var piecesTaken = 0
    /// Frames in pieces that were not taken.
    var framesWaiting = 0
    /// Bytes of DATA recorded by the running `collect`, and how many end it.
    var collected = 0
    var collectLimit = 0
    /// Slots whose body was taken, so that their trailers follow.
    var trailersDue: [Int] = []
    var answer = AnswerFields()

    /// A session whose SETTINGS and connection window are ready to be collected; nil when memory is short.
    public init?(_ settings: HTTP2Settings) {
        self.settings = settings
        frameGuard = FrameGuard(settings)
        block = HeadBlock(settings)
        guard let made = unsafe SessionMaker.make(settings) else { return nil }
        unsafe session = made
        unsafe nghttp2_session_set_user_data(made, Unmanaged.passUnretained(self).toOpaque())
        guard unsafe SessionMaker.greet(made, settings) else { return nil }
    }

    deinit {
        unsafe nghttp2_session_del(session)
    }

    /// Whether frames or DATA can be collected now, or pieces are left to take.
    public var wantsToSend: Bool {
        if piecesTaken < pieces.count { return true }
        return unsafe !isBroken && nghttp2_session_want_write(session) != 0
    }

    /// Whether nothing more is to be read and, once the pieces are sent, to be written: the connection is to be closed.
    public var isFinished: Bool {
        if piecesTaken < pieces.count { return false }
        if isBroken { return true }
        return unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
    }

    /// Whether a request's head began to arrive and is not complete.
    public var isInsideHead: Bool { frameGuard.isInsideHead }

    /// Whether the client's preface and first SETTINGS have come (RFC 9113 section 3.4).
    public var hasStarted: Bool { frameGuard.hasStarted }

    /// Requests over `HTTP2Settings.streams` so far, which were refused.
    public internal(set) var refusedStreams = 0

    /// Requests so far that were reset for the size of their trailers.
    public internal(set) var largeTrailers = 0

    /// Slots in use: streams whose `.closed` was not taken, and those whose head is still arriving.
    public var openStreams: Int { slots.count - freeSlots.count }

    /// Tells the client that the connection will end, and still takes requests (RFC 9113 section 6.8). Follow it with
    /// `goAway(.noError)` a round trip later.
    public func shutdownNotice() {
        unsafe _ = nghttp2_submit_shutdown_notice(session)
    }

    /// Names the last stream that is being served. With `.noError` those streams may finish, and then `isFinished`;
    /// with any other code nothing more is read and the connection ends once this is sent.
    public func goAway(_ code: HTTP2Error) {
        if code == .noError { submitGoAway(code) } else { terminate(code) }
    }

    /// A GOAWAY after which the streams that are being served go on.
    func submitGoAway(_ code: HTTP2Error) {
        let last = unsafe nghttp2_session_get_last_proc_stream_id(session)
        unsafe _ = nghttp2_submit_goaway(session, UInt8(NGHTTP2_FLAG_NONE.rawValue), last, code.rawValue, nil, 0)
    }

    func terminate(_ code: HTTP2Error) {
        isTerminated = true
        unsafe _ = nghttp2_session_terminate_session(session, code.rawValue)
    }
}
