import Glibc
import Reactor
import Wire

/// One accepted connection: reads requests one after another and hands each to the handler.
///
/// It belongs to its own thread; only what `upgradeToWebSocket` returns may be used from others.
public final class LocalConnection {
    private let socket: LocalSocket
    private let limits: LocalLimits
    private let fields: HeadFields
    private var input = ByteBuffer()
    var keepsAlive = true
    var isHead = false
    var isHTTP10 = false
    private var progress = Progress.idle

    private enum Progress { case idle, waiting, answering, answered, upgraded }

    init(_ socket: LocalSocket, limits: LocalLimits) {
        self.socket = socket
        self.limits = limits
        fields = HeadFields(capacity: max(1, limits.headFields))
    }

    /// Serves until one side has had enough.
    func serve(_ handler: any LocalHandler) {
        do throws(LocalError) {
            while keepsAlive, let head = try readHead() {
                guard try exchange(head, handler) else { return socket.shutdownBoth() }
            }
        } catch {
            switch error {
            case .refused(let status, let reason): return refuse(status: status, reason: reason)
            case .timedOut where progress == .waiting: return refuse(status: 408, reason: "no complete request in time")
            default: return socket.shutdownBoth()
            }
        }
        socket.linger()
    }

    /// Answers with an error, lets the peer read it if there is time for that, and closes.
    func refuse(status: Int, reason: String, lingers: Bool = true) {
        keepsAlive = false
        if progress == .answering || progress == .answered { return socket.shutdownBoth() }
        progress = .waiting
        // RFC 9110 section 15.5.22, RFC 6455 section 4.4.
        let headers = status == 426 ? [("upgrade", "websocket"), ("sec-websocket-version", "13")] : []
        try? respond(status: status, headers: headers, body: reason + "\n")
        if lingers { socket.linger() }
    }

    /// The user id at the other end; `nil` when it is on another host.
    public func peerUser() -> UInt32? { socket.peerUser() }

    /// Whether the peer runs as root or as the same user as we.
    public var isTrustedPeer: Bool { LocalPeer.isTrusted(socket.peerUser()) }

    /// Waits `ms`, or less when the peer goes away: then it throws `closed`.
    public func pause(ms: UInt64) throws(LocalError) {
        if socket.waitForHangUp(until: Clock.monotonicMs() &+ ms) { throw .closed }
    }

    /// Accepts the request's WebSocket handshake (RFC 6455 section 4.2), or throws the refusal it deserves. The
    /// connection ends when the handler returns.
    public func upgradeToWebSocket(_ request: LocalRequest) throws(LocalError) -> LocalWebSocket {
        let accept = try WebSocketHandshake.accept(request)
        try beginAnswer()
        progress = .upgraded
        keepsAlive = false
        var output = ByteBuffer(capacity: 256)
        output.append("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n")
        output.append("sec-websocket-accept: ")
        output.append(text: accept)
        output.append("\r\n\r\n")
        try send(output)
        let early = input.withReadable { bytes in (0..<bytes.count).map { bytes[$0] } }
        input.removeAll()
        return LocalWebSocket(socket, early: early, limits: limits)
    }

    // MARK: One exchange

    /// Whether the connection ended in order, or may serve another request.
    private func exchange(_ head: LocalHead, _ handler: any LocalHandler) throws(LocalError) -> Bool {
        isHead = head.method == "HEAD"
        isHTTP10 = head.isHTTP10
        keepsAlive = head.keepsAlive
        let body = LocalBody(self, head.framing, expectsContinue: head.expectsContinue)
        let request = LocalRequest(
            method: head.method, path: head.path, query: head.query, headers: head.headers, body: body,
            isWebSocketUpgrade: head.isWebSocketUpgrade)
        do {
            try handler.respond(to: request, on: self)
            if progress == .waiting { throw LocalError.misused("no answer") }
        } catch let error as LocalError {
            if case .refused = error { throw error }
            if error == .timedOut, progress == .waiting { throw error }
            guard case .misused = error, progress == .waiting else { return false }
            try fail()
        } catch {
            guard progress == .waiting else { return false }
            try fail()
        }
        if progress == .upgraded { return true }
        guard progress == .answered else { return false }
        progress = .idle
        // A short rest of the body is read so that the connection stays of use; a long one is not worth it.
        if keepsAlive { keepsAlive = try body.discard(atMost: 256 * 1024) }
        return true
    }

    private func fail() throws(LocalError) {
        keepsAlive = false
        try respond(status: 500, body: "the handler failed\n")
    }

    private func readHead() throws(LocalError) -> LocalHead? {
        progress = .idle
        var deadline = Clock.monotonicMs() + limits.keepAliveMs
        var scan = HeadScan()
        while true {
            if !input.isEmpty {
                if progress == .idle {
                    progress = .waiting
                    deadline = Clock.monotonicMs() + limits.headMs
                }
                if let (head, consumed) = try LocalHead.parse(input, scan: &scan, into: fields, limits: limits) {
                    input.consume(consumed)
                    return head
                }
            }
            do throws(LocalError) {
                if try socket.receive(into: &input, until: deadline) == 0 { return nil }
            } catch {
                if error == .timedOut && progress == .idle { return nil }
                throw error
            }
        }
    }

    // MARK: What answers and bodies need

    func beginAnswer() throws(LocalError) {
        guard progress == .waiting else { throw .misused("this request has its answer") }
        progress = .answering
    }

    func endAnswer() { progress = .answered }

    var hasAnswered: Bool { progress != .waiting }

    func send(_ bytes: borrowing Span<UInt8>) throws(LocalError) {
        try socket.send(bytes, stallMs: limits.stallMs)
    }

    func send(_ buffer: borrowing ByteBuffer) throws(LocalError) {
        try buffer.withReadable { (bytes: borrowing Span<UInt8>) throws(LocalError) in
            try socket.send(bytes, stallMs: limits.stallMs)
        }
    }

    /// Interim answer that invites the body (RFC 9110 section 10.1.1).
    func sendContinue() throws(LocalError) {
        try send(Array("HTTP/1.1 100 Continue\r\n\r\n".utf8).span)
    }

    /// Lends the buffered bytes of the body, receiving first when there are none. `use` says how many it took.
    func withInput<R>(_ use: (inout ByteBuffer) throws(LocalError) -> R) throws(LocalError) -> R {
        if input.isEmpty {
            let count = try socket.receive(into: &input, until: Clock.monotonicMs() + limits.stallMs)
            if count == 0 { throw .closed }
        }
        return try use(&input)
    }

    /// Receives more behind what is buffered.
    func receiveMore() throws(LocalError) {
        let count = try socket.receive(into: &input, until: Clock.monotonicMs() + limits.stallMs)
        if count == 0 { throw .closed }
    }
}

extension Clock {
    /// Sleeps; for threads that have nothing else to do.
    static func pause(ms: UInt32) { usleep(ms &* 1000) }
}
