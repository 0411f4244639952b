/// What a session keeps of one stream.
struct StreamSlot {
    /// nghttp2's number; 0 when the slot is free.
    var id: Int32 = 0
    /// The caller knows of it, and will be told of its end.
    var isAnnounced = false
    /// nghttp2 has forgotten it.
    var isClosed = false
    /// Its body is of no interest.
    var discardsBody = false
    /// A final answer's head was submitted.
    var isAnswered = false
    /// The answer has, or had, a body to give to nghttp2.
    var hasBody = false
    /// END_STREAM is in a frame that was collected.
    var isEnded = false
    /// Bytes of the answer's body that may be taken, and whether they are the last.
    var available = 0
    var endsThere = false
    /// Bytes of the request's body that were handed out and not yet consumed.
    var owed = 0
    /// By how much its receive window was widened, and what was consumed since.
    var widened = 0
    var consumed = 0
    var priority = HTTP2Priority()
    /// What follows the answer's body, until that was taken.
    var trailers: [UInt8]?
}
