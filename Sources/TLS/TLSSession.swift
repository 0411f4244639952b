import COpenSSL
public import Wire

/// How a call into TLS ended.
public enum TLSOutcome: Sendable, Equatable {
    /// It did what was asked; so many bytes of plaintext.
    case done(Int)
    /// It needs bytes that have not arrived.
    case wouldBlock
    /// The peer closed, or the connection under it ended.
    case ended
    /// The peer broke the protocol or the connection broke; nothing more can be read or written.
    case failed
}

/// The server side of one TLS connection. Reads come from the socket, what is to be written is appended to a buffer
/// that the caller sends. Owned by one stream, used on its thread.
@safe
public final class TLSSession {
    private let ssl: OpaquePointer
    private let wire: UnsafeMutablePointer<zlh_wire>
    /// Keeps the contexts, their names and ticket keys alive while this connection may ask for them.
    private let store: CertificateStore
    private var sentClose = false
    /// Reading is over: the peer said so, or the connection broke. No event of the kernel's will tell a second time.
    private var isOver = false

    /// A session about to shake hands on the socket `descriptor`, which the caller keeps open; `nil` without memory.
    public init?(store: CertificateStore, descriptor: Int32) {
        unsafe wire = .allocate(capacity: 1)
        unsafe wire.initialize(to: zlh_wire())
        unsafe wire.pointee.fd = descriptor
        guard let made = unsafe zlh_ssl_new(store.initialContext, wire) else {
            unsafe wire.deallocate()
            ERR_clear_error()
            return nil
        }
        unsafe ssl = unsafe made
        self.store = store
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe zlh_wire_clear(wire)
        unsafe wire.deinitialize(count: 1)
        unsafe wire.deallocate()
    }

    /// The kernel reported something to read.
    public func socketBecameReadable() {
        unsafe wire.pointee.drained = 0
    }

    /// The kernel reported the peer's end: from now on each read asks it, until it gives that end.
    public func peerClosedItsSide() {
        unsafe wire.pointee.drained = 0
        unsafe wire.pointee.peer_closed = 1
    }

    /// Whether neither the kernel nor OpenSSL holds bytes that a read would give, nor an end that it would report.
    public var isDrained: Bool {
        unsafe wire.pointee.drained != 0 && !isOver && SSL_has_pending(ssl) == 0
    }

    /// Whether the peer has sent anything.
    public var hasReceived: Bool { unsafe BIO_number_read(SSL_get_rbio(ssl)) > 0 }

    /// KeyUpdate messages received so far (RFC 8446 section 4.6.3).
    public var keyUpdates: UInt32 { unsafe wire.pointee.key_updates }

    /// `TLSv1.2` or `TLSv1.3`.
    public var isTLS13: Bool { unsafe SSL_version(ssl) == TLS1_3_VERSION }

    /// Whether ALPN chose HTTP/2.
    public var isHTTP2: Bool {
        var name: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(ssl, &name, &count)
        guard count == 2, let name = unsafe name else { return false }
        return unsafe name[0] == UInt8(ascii: "h") && name[1] == UInt8(ascii: "2")
    }

    /// Whether a ticket spared the full handshake.
    public var isResumed: Bool { unsafe SSL_session_reused(ssl) == 1 }

    /// Takes the handshake as far as it goes; its flights are appended to `outbound`.
    public func handshake(outbound: inout ByteBuffer, _ pool: BlockPool) -> TLSOutcome {
        let status = unsafe SSL_do_handshake(ssl)
        let outcome = status == 1 ? TLSOutcome.done(0) : classify()
        takeSpill(into: &outbound, pool)
        return outcome
    }

    /// Decrypts into `output`, at most its free capacity and `limit`.
    public func read(
        into output: inout OutputSpan<UInt8>, atMost limit: Int = .max, outbound: inout ByteBuffer, _ pool: BlockPool
    ) -> TLSOutcome {
        let outcome = unsafe output.withUnsafeMutableBufferPointer { buffer, initialized -> TLSOutcome in
            let room = Int32(truncatingIfNeeded: min(buffer.count - initialized, limit))
            let got = unsafe SSL_read(ssl, buffer.baseAddress.map { unsafe $0 + initialized }, room)
            guard got > 0 else { return classify() }
            initialized += Int(got)
            return .done(Int(got))
        }
        // A key update or an alert may have been answered.
        if unsafe wire.pointee.spill_length > 0 { takeSpill(into: &outbound, pool) }
        return outcome
    }

    /// Encrypts all of `bytes` into `outbound`.
    public func write(_ bytes: borrowing Span<UInt8>, outbound: inout ByteBuffer, _ pool: BlockPool) -> TLSOutcome {
        if bytes.isEmpty { return .done(0) }
        // At most 29 bytes a record are added (TLS 1.2 with an explicit nonce).
        outbound.reserve(bytes.count + (bytes.count / 16384 + 1) * 64, from: pool)
        let outcome = outbound.withWritable { output in
            unsafe output.withUnsafeMutableBufferPointer { buffer, initialized -> TLSOutcome in
                unsafe wire.pointee.out = unsafe buffer.baseAddress.map { unsafe $0 + initialized }
                unsafe wire.pointee.out_length = 0
                unsafe wire.pointee.out_capacity = buffer.count - initialized
                let took = unsafe bytes.withUnsafeBufferPointer { source in
                    unsafe SSL_write(ssl, source.baseAddress, Int32(truncatingIfNeeded: source.count))
                }
                unsafe initialized += wire.pointee.out_length
                unsafe wire.pointee.out = nil
                unsafe wire.pointee.out_length = 0
                unsafe wire.pointee.out_capacity = 0
                return took > 0 ? .done(Int(took)) : classify()
            }
        }
        if unsafe wire.pointee.spill_length > 0 { takeSpill(into: &outbound, pool) }
        return outcome
    }

    /// Appends a close_notify alert, once.
    public func close(outbound: inout ByteBuffer, _ pool: BlockPool) {
        if sentClose { return }
        sentClose = true
        ERR_clear_error()
        // Not before the handshake is over: OpenSSL would count it as an error of ours.
        if unsafe SSL_is_init_finished(ssl) == 1 { _ = unsafe SSL_shutdown(ssl) }
        takeSpill(into: &outbound, pool)
        ERR_clear_error()
    }

    /// Why a call moved nothing. Told by the connection's own state and not by OpenSSL's error queue, which belongs to
    /// the thread: so nothing need be cleared before each call, and what others left there misleads nobody.
    private func classify() -> TLSOutcome {
        // A handshake that failed still claims to want bytes; one that waits has just asked the wire in vain.
        if unsafe SSL_want(ssl) == SSL_READING && BIO_test_flags(SSL_get_rbio(ssl), BIO_FLAGS_READ) != 0 {
            return .wouldBlock
        }
        isOver = true
        defer { ERR_clear_error() }
        if unsafe SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN != 0 { return .ended }
        return unsafe wire.pointee.ended != 0 && wire.pointee.error == 0 ? .ended : .failed
    }

    private func takeSpill(into outbound: inout ByteBuffer, _ pool: BlockPool) {
        let length = unsafe wire.pointee.spill_length
        guard length > 0 else { return }
        outbound.reserve(length, from: pool)
        unsafe outbound.append(UnsafeBufferPointer(start: wire.pointee.spill, count: length).span)
        unsafe zlh_wire_clear(wire)
    }
}
