import Limits
import Observe
import Reactor
import Transport
import Wire

/// Where a request comes from and its answer goes: an HTTP/1 connection, or one stream of an HTTP/2 connection. All that
/// an `Exchange` knows of its client, so that no rule is written twice.
///
/// Abstract. Rule of the house: a call that writes never closes anything; it says how it went, and the caller closes when
/// it no longer lends bytes of the connection to anyone.
class Downstream: EventSource {
    /// What the one deadline stands for.
    enum Watch {
        case none, handshake
        /// From the handshake to the first request.
        case opening
        case keepAlive, head, body, queued, stall, halfClosed, linger, tunnel, tunnelClose, drain
        /// HTTP/2: what an abuser's tunnels still get.
        case farewell
    }

    final let worker: Worker
    /// The worker's, without the step over it, which would count references.
    final let loop: EventLoop
    final let blocks: BlockPool
    /// The request under way.
    final var exchange: Exchange!
    /// Received and not yet taken: heads and bodies of HTTP/1, body or tunnel bytes of a stream.
    final var inbound = ByteBuffer()
    /// Heads as HTTP/1 writes them, and what HTTP/1 frames around a body: they wait to leave with what follows them in the
    /// same event.
    final var staged = ByteBuffer()
    final private(set) var watch = Watch.none
    /// When `limits.body` was looked at last, and what has come since.
    final var bodyWindow = (startMs: UInt64(0), bytes: UInt64(0))
    /// Whether it stalls, looked at while memory is short.
    final var stallSample = StallSample()
    /// HTTP/1: close after the answer under way.
    final var closesAfterAnswer = false

    init(_ worker: Worker) {
        self.worker = worker
        loop = worker.loop
        blocks = worker.blocks
        super.init()
    }

    // MARK: Who

    /// The connection that carries it.
    var connection: ClientConnection { abstract() }
    /// What it speaks.
    var httpProtocol: HTTPProtocol { abstract() }
    /// Whether requests, or a tunnel, may go on.
    var isOpen: Bool { abstract() }

    final var address: IPAddress { connection.peer.address }

    // MARK: From the client

    /// Goes as far as the bytes at hand allow.
    func advance() { abstract() }
    /// Reads what has arrived into `inbound`. Whether something came; at an end or failure the exchange has been told.
    func readMore(limit: Int = .max) -> Bool { abstract() }
    /// So many bytes of `inbound` were consumed.
    func taken(_ count: Int) { abstract() }
    /// The one who gets the bytes does not keep up.
    func readLess() { abstract() }
    /// How long the request's body is, when all of it is in `inbound` and it was not framed by the client itself.
    var wholeBodyBytes: Int? { nil }
    /// Whether others keep the client from sending.
    var isHeldUp: Bool { false }

    // MARK: To the client

    /// Whether a writer must wait; `Exchange.clientDrained` tells when no more.
    var isBlocked: Bool { abstract() }
    /// Whether nothing more can be said to the client.
    var isWriteShutdown: Bool { abstract() }
    /// About how many bytes would leave at once: the rest would wait here.
    var sendRoom: Int { abstract() }
    /// Sends what is staged.
    func push() -> WriteOutcome { abstract() }
    /// Sends the first `count` bytes of `buffer` behind what is staged, and consumes what it took: all of them, or when
    /// blocked some.
    func send(_ buffer: inout ByteBuffer, _ count: Int) -> WriteOutcome { abstract() }
    /// The answer is whole: sends what is left of it.
    func finish() -> WriteOutcome { abstract() }
    /// Half-closes a tunnel: nothing follows.
    func shutdownWriting() -> WriteOutcome { abstract() }

    // MARK: Ends

    /// The exchange is over; `unread` when the client has not sent its whole body.
    func answered(unread: Bool) { abstract() }
    /// The answer under way cannot be completed: what was sent of it still goes out, and then its end shows that it is
    /// not the whole. `showsItsEnd` when its framing tells that; `body` is the request's, of which more may come.
    func cut(showsItsEnd: Bool, _ body: RequestBody) { abstract() }
    /// Resets: what was sent must not pass for the whole.
    func abort(_ reason: RefusalReason?) { abstract() }
    /// Resets it and all it carries, as memory is short.
    func shed() { abstract() }
    /// Writing failed.
    func lost() { abstract() }
    /// Closes at once.
    func close(_ reason: RefusalReason?) { abstract() }
    /// A tunnel is over.
    func endTunnel(_ farewell: TunnelFarewell) { abstract() }

    /// How a tunnel ends towards the client.
    enum TunnelFarewell {
        /// Both sides said all.
        case ended
        /// The container's side broke.
        case broken
        /// By us, with a close frame of this code if one could be sent: the client has a second to answer it, as it would
        /// a container's (RFC 6455 section 7.1.1).
        case closing(code: UInt16?)
    }

    // MARK: Deadlines

    /// What a client must take of what waits within `limits.response_stall`.
    static let leastProgress = 1024

    final func watch(_ what: Watch, afterMs: Int = 0) {
        watch = what
        loop.setDeadline(what == .none ? .max : worker.nowMs &+ UInt64(afterMs), for: self)
    }

    /// The client takes next to nothing: it has `limits.response_stall`, unless a sooner end is watched already.
    final func watchStall(spentMs: Int = 0) {
        switch watch {
        case .stall, .tunnelClose, .drain, .linger, .farewell: break
        default:
            beganToStall()
            watch(.stall, afterMs: max(0, worker.limits.responseStallMs - spentMs))
        }
    }

    /// Takes note of what waits, to know later whether the client took any of it.
    func beganToStall() {}

    final func beginBodyWatch() {
        bodyWindow = (worker.nowMs, 0)
        watch(.body, afterMs: worker.limits.body.overMs)
    }

    /// What the deadlines that an exchange sets mean; whether this was one of them.
    final func expiredForExchange() -> Bool {
        switch watch {
        case .body: exchange.checkBodyRate()
        case .queued: exchange.waitedTooLong()
        case .halfClosed: exchange.halfClosedTooLong()
        case .tunnel: exchange.checkTunnel()
        case .tunnelClose: exchange.closeTunnelNow()
        case .drain: exchange.closeTunnel(.drain)
        default: return false
        }
        return true
    }

    // MARK: Penalties

    final func penalise(_ misdeed: Misdeed) {
        _ = worker.shared.sources.penalise(address, .https, misdeed, nowMs: Int64(worker.nowMs))
    }

    private func abstract(_ name: StaticString = #function) -> Never { preconditionFailure("\(name) is abstract") }
}
