import COpenSSL
import Glibc
import Reactor
import StreamSupport
import Synchronization
import TLS
import Transport
import Wire

/// The certificates of `Fixtures`, read on a day when they are valid.
enum Fixture {
    /// In 2033.
    static let day: Int64 = 2_000_000_000

    static func path(_ name: String) -> String {
        precondition(areMade, "\(folder)make failed; it needs the openssl command")
        return folder + name
    }

    private static let folder: String = {
        let here = #filePath
        return here[..<(here.lastIndex(of: "/") ?? here.endIndex)] + "/Fixtures/"
    }()

    /// Keys are not committed: the first test that wants one has them made.
    private static let areMade: Bool = {
        if unsafe access(folder + "locked.key", R_OK) == 0 { return true }
        return unsafe system(folder + "make") == 0
    }()

    static func certificate(_ name: String, key: String? = nil) throws(CertificateProblem) -> Certificate {
        try Certificate(certificatePath: path("\(name).crt"), keyPath: path("\(key ?? name).key"))
    }

    static func store(
        _ names: [String], _ settings: TLSSettings = TLSSettings(), keys: TicketKeys = TicketKeys()
    ) throws -> CertificateStore {
        try CertificateStore(names.map { name throws in try certificate(name) }, settings: settings, ticketKeys: keys)
    }
}

/// What the client of a test asks for.
struct Wishes {
    var name: String?
    var versions = (least: TLS1_2_VERSION, most: TLS1_3_VERSION)
    var protocols: [String] = []
    /// The only signature algorithms it can verify; all by default.
    var signatures: String?
    /// A session of an earlier connection.
    var session: Ticket?
}

/// A session that a client may resume.
@safe
final class Ticket {
    let session: OpaquePointer
    init(_ session: OpaquePointer) { unsafe self.session = unsafe session }
    deinit { unsafe SSL_SESSION_free(session) }
}

/// A client of OpenSSL's own over one end of a socketpair. It never waits.
@safe
final class TLSClient {
    private let context: OpaquePointer
    private let client: OpaquePointer
    let descriptor: FileDescriptor

    init(_ descriptor: consuming FileDescriptor, _ wishes: Wishes) {
        unsafe context = SSL_CTX_new(TLS_client_method())
        unsafe client = SSL_new(context)
        unsafe SSL_set_fd(client, descriptor.raw)
        unsafe SSL_set_connect_state(client)
        self.descriptor = descriptor
        apply(wishes)
    }

    deinit {
        // Without a goodbye OpenSSL takes the session for one that must not be resumed.
        unsafe SSL_set_shutdown(client, SSL_SENT_SHUTDOWN)
        unsafe SSL_free(client)
        unsafe SSL_CTX_free(context)
    }

    private func apply(_ wishes: Wishes) {
        // The refusals under test are the server's.
        unsafe SSL_set_security_level(client, 0)
        unsafe SSL_ctrl(client, SSL_CTRL_SET_MIN_PROTO_VERSION, Int(wishes.versions.least), nil)
        unsafe SSL_ctrl(client, SSL_CTRL_SET_MAX_PROTO_VERSION, Int(wishes.versions.most), nil)
        if let name = wishes.name {
            var text = name.utf8CString
            unsafe text.withUnsafeMutableBufferPointer { text in
                _ = unsafe SSL_ctrl(
                    client, SSL_CTRL_SET_TLSEXT_HOSTNAME, Int(TLSEXT_NAMETYPE_host_name), text.baseAddress)
            }
        }
        if !wishes.protocols.isEmpty {
            let list = wishes.protocols.flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) }
            unsafe SSL_set_alpn_protos(client, list, UInt32(list.count))
        }
        if let signatures = wishes.signatures {
            var text = signatures.utf8CString
            unsafe text.withUnsafeMutableBufferPointer { text in
                _ = unsafe SSL_ctrl(client, SSL_CTRL_SET_SIGALGS_LIST, 0, text.baseAddress)
            }
        }
        if let ticket = wishes.session { unsafe SSL_set_session(client, ticket.session) }
    }

    /// Takes the handshake as far as it goes; whether it is over.
    func shakeHands() -> Bool { unsafe SSL_do_handshake(client) == 1 }

    /// Writes all of `bytes`; false when the socket is full.
    func writes(_ bytes: [UInt8]) -> Bool {
        unsafe SSL_write(client, bytes, Int32(bytes.count)) == Int32(bytes.count)
    }

    /// All that can be read now.
    func reads() -> [UInt8] {
        var all: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = unsafe SSL_read(client, &piece, Int32(piece.count))
            guard count > 0 else { return all }
            all += piece[..<Int(count)]
        }
    }

    /// Whether the server said goodbye in TLS.
    var sawGoodbye: Bool { unsafe SSL_get_shutdown(client) & SSL_RECEIVED_SHUTDOWN != 0 }

    /// Says close_notify and leaves the socket open.
    func saysGoodbye() { unsafe SSL_shutdown(client) }

    func updatesKeys() -> Bool {
        unsafe SSL_key_update(client, SSL_KEY_UPDATE_REQUESTED) == 1 && SSL_do_handshake(client) == 1
    }

    /// Asks for another handshake.
    func asksToRenegotiate() -> Bool { unsafe SSL_renegotiate(client) == 1 }

    /// The common name in the certificate that it was shown.
    var shownName: String {
        guard let certificate = unsafe SSL_get1_peer_certificate(client) else { return "" }
        defer { unsafe X509_free(certificate) }
        var text = [CChar](repeating: 0, count: 128)
        unsafe X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, &text, 128)
        return String(decoding: text.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    var chosenProtocol: String {
        var start: UnsafePointer<UInt8>?
        var count: UInt32 = 0
        unsafe SSL_get0_alpn_selected(client, &start, &count)
        return unsafe String(decoding: UnsafeBufferPointer(start: start, count: Int(count)), as: UTF8.self)
    }

    var version: Int32 { unsafe SSL_version(client) }

    /// A session to resume with; of TLS 1.3 once something was read.
    var ticket: Ticket? {
        guard let session = unsafe SSL_get1_session(client) else { return nil }
        return unsafe Ticket(session)
    }
}

/// Two joined sockets, non-blocking.
func joinedSockets() -> (near: Int32, far: Int32) {
    var ends: (Int32, Int32) = (-1, -1)
    let status = unsafe withUnsafeMutableBytes(of: &ends) { bytes in
        unsafe socketpair(
            AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue), 0,
            bytes.baseAddress!.assumingMemoryBound(to: Int32.self))
    }
    precondition(status == 0)
    return ends
}

/// A server session of ours and a client, joined and driven in turns: no thread, no waiting.
final class TLSPair {
    let server: TLSSession
    let client: TLSClient
    let pool = BlockPool()
    /// What the server wants to send and has not.
    private var outbound = ByteBuffer()
    private let near: FileDescriptor
    var pendingBytes: Int { outbound.count }

    init(_ store: CertificateStore, _ wishes: Wishes = Wishes()) {
        let (near, far) = joinedSockets()
        server = TLSSession(store: store, descriptor: near)!
        self.near = FileDescriptor(near)
        client = TLSClient(FileDescriptor(far), wishes)
    }

    /// Shakes hands; whether both sides are done.
    func shakeHands() -> Bool {
        var ours = TLSOutcome.wouldBlock
        var theirs = false
        for _ in 0..<8 where ours == .wouldBlock || ours == .done(0) && !theirs {
            theirs = client.shakeHands()
            if ours == .wouldBlock {
                server.socketBecameReadable()
                ours = server.handshake(outbound: &outbound, pool)
            }
            flush()
        }
        // Tickets of TLS 1.3 come with the first read.
        if theirs { _ = client.reads() }
        return ours == .done(0) && theirs
    }

    /// Sends what the server has to say; whether the socket took it all.
    @discardableResult
    func flush() -> Bool {
        while !outbound.isEmpty {
            guard case .moved(let count) = outbound.withReadable({ Socket.send($0, to: near) }) else { return false }
            outbound.consume(count)
        }
        return true
    }

    /// What the server reads, at most so many bytes.
    func serverReads(_ most: Int = 65536) -> (outcome: TLSOutcome, bytes: [UInt8]) {
        server.socketBecameReadable()
        var buffer = ByteBuffer(capacity: most)
        let outcome = buffer.withWritable { server.read(into: &$0, outbound: &outbound, pool) }
        return (outcome, buffer.withReadable { $0.copied() })
    }

    func serverCloses() { server.close(outbound: &outbound, pool) }

    /// Encrypts all of `bytes` without sending it.
    func serverWrites(_ bytes: [UInt8]) -> TLSOutcome {
        server.write(bytes.span, outbound: &outbound, pool)
    }
}

/// A stream over TLS and its client.
final class TLSWire: HeldStream {
    let client: TLSClient

    /// Joined and past the handshake.
    init(_ version: Int32) throws {
        let (near, far) = joinedSockets()
        let tls = TLSSession(store: try Fixture.store(["wildcard"]), descriptor: near)!
        client = TLSClient(FileDescriptor(far), Wishes(versions: (version, version)))
        super.init(Stream(FileDescriptor(near), tls: tls))
        var ours = TLSOutcome.wouldBlock
        for _ in 0..<8 {
            let theirs = client.shakeHands()
            if theirs && ours == .done(0) { break }
            edge()
            ours = stream.handshake(pool)
        }
        _ = client.reads()
        precondition(ours == .done(0))
    }
}

/// Counts the contexts that OpenSSL makes and frees.
enum LiveContexts {
    /// Those made and not freed on the calling thread since it first asked.
    static var ofThisThread: Int {
        precondition(isCounting)
        return counts.withLock { $0[pthread_self(), default: 0] }
    }

    private static let counts = Mutex<[pthread_t: Int]>([:])

    private static func add(_ amount: Int) { counts.withLock { $0[pthread_self(), default: 0] += amount } }

    private static let isCounting =
        unsafe CRYPTO_get_ex_new_index(
            CRYPTO_EX_INDEX_SSL_CTX, 0, nil, { _, _, _, _, _, _ in LiveContexts.add(1) }, nil,
            { _, _, _, _, _, _ in LiveContexts.add(-1) }) >= 0
}
