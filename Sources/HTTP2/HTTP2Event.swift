/// What the client did. Streams go by slots: small numbers, used again once `.closed` was taken.
public enum HTTP2Event: Sendable, Equatable {
    /// A request. `head` says where in `HTTP2Session.withHeads` its HTTP/1.1 form lies; `ends`: it has no body;
    /// `isTunnel`: an extended CONNECT for a WebSocket (RFC 8441), written as an HTTP/1.1 handshake.
    case request(slot: Int, head: Range<Int>, ends: Bool, isTunnel: Bool)
    /// A request whose head was complete and which is not to be served; the caller answers it. Of its body nothing
    /// but the end will be told. `head` says where in `HTTP2Session.withHeads` lies what tells how to answer it, for
    /// `HTTP1.skim`: its method, and the fields that were kept before the refusal; `ends`: it has no body.
    case refused(slot: Int, HTTP2Refusal, head: Range<Int>, ends: Bool)
    /// Bytes of a body: positions in the span given to the call of `receive` that recorded it.
    case data(slot: Int, Range<Int>)
    /// The request is complete: END_STREAM came behind its head. Not told of one whose `.request` said `ends`.
    case ended(slot: Int)
    /// The stream is over, ended or reset by either side; the last event of its slot. The code is that of RST_STREAM, 0
    /// when both sides ended.
    case closed(slot: Int, code: UInt32)
    /// More of an answer may be sent: of this stream's, or of any's when the slot is -1.
    case windowOpened(slot: Int)
    /// The client opens no more streams (GOAWAY).
    case goAway
}

/// Why a complete request head is not served.
public enum HTTP2Refusal: Sendable, Equatable {
    /// Over `HTTP2Settings.headBytes`: 431. `blamesCookies`: a GET or HEAD whose cookies alone fill half of that.
    case headTooLarge(blamesCookies: Bool)
    /// Over `HTTP2Settings.headFields`: 431. `blamesCookies`: a GET or HEAD whose cookies, which clients send in pieces,
    /// fill half of that, or of `headBytes`.
    case tooManyFields(blamesCookies: Bool)
    /// It contradicts itself or could not be written as an HTTP/1.1 head: 400. The text holds no byte of the client's.
    case badRequest(StaticString)
    /// A CONNECT that is not for a WebSocket: 501.
    case connectUnsupported

    /// Both for the same reason; texts are compared by what they say.
    public static func == (a: Self, b: Self) -> Bool {
        switch (a, b) {
        case (.headTooLarge(let a), .headTooLarge(let b)): a == b
        case (.tooManyFields(let a), .tooManyFields(let b)): a == b
        case (.connectUnsupported, .connectUnsupported): true
        case (.badRequest(let a), .badRequest(let b)): "\(a)" == "\(b)"
        default: false
        }
    }
}

/// What came of bytes given to `HTTP2Session.receive`.
public enum Received: Sendable, Equatable {
    /// So many were taken. When they are fewer than given enough requests began in this call; the rest is for the next.
    case taken(Int)
    /// Useless frames over `HTTP2Settings.abuse`. A GOAWAY is queued, nothing more will be read; what is still to be said
    /// on open streams may be.
    case abuse
    /// The client broke the protocol. A GOAWAY is queued, nothing more will be read.
    case failed
}

/// The error codes of RFC 9113 section 7.
public enum HTTP2Error: UInt32, Sendable {
    case noError, protocolError, internalError, flowControlError, settingsTimeout, streamClosed, frameSizeError
    case refusedStream, cancel, compressionError, connectError, enhanceYourCalm, inadequateSecurity, http11Required
}

/// What to send, in this order.
public enum HTTP2Piece: Sendable, Equatable {
    /// Bytes of `HTTP2Session.withOutput`.
    case frames(Range<Int>)
    /// The header of a DATA frame, and behind it the next `count` bytes of the stream's body, which the caller has.
    /// `ends`: END_STREAM is set, these are the last.
    case data(slot: Int, header: HTTP2FrameHeader, count: Int, ends: Bool)
}
