import COpenSSL

/// What the server side of TLS is set to.
public struct TLSSettings: Sendable, Equatable {
    /// Whether TLS 1.2 is refused.
    public var requiresTLS13: Bool
    /// What ALPN offers, best first.
    public var protocols: [ApplicationProtocol]

    /// TLS settings; the certificates come beside them.
    public init(requiresTLS13: Bool = false, protocols: [ApplicationProtocol] = [.http2, .http1, .http10]) {
        self.requiresTLS13 = requiresTLS13
        self.protocols = protocols
    }
}

/// A protocol that ALPN may choose (RFC 7301).
public enum ApplicationProtocol: String, Sendable {
    /// HTTP/2 over TLS (RFC 9113 section 3.2).
    case http2 = "h2"
    /// HTTP/1.1.
    case http1 = "http/1.1"
    /// HTTP/1.0, served as HTTP/1.1 is: all that some old programs offer.
    case http10 = "http/1.0"
}

/// One loop's OpenSSL contexts: chooses the certificate by SNI, the application protocol by ALPN, and seals tickets.
///
/// Made and used on one thread. Certificates for the same name with keys of different kinds (ECDSA beside RSA) share a
/// context, where OpenSSL picks by what the client can verify.
@safe
public final class CertificateStore {
    /// Contexts by the certificates they hold. Filled one by one, so that `deinit` frees what an `init` that throws had
    /// made.
    private var contexts: [[Int]: OpaquePointer] = unsafe [:]
    private var byName: [String: OpaquePointer] = unsafe [:]
    /// The context that a connection starts with, before its SNI is known: the first certificate's.
    private(set) var initialContext: OpaquePointer
    private let ticketKeys: UnsafeMutablePointer<zlh_ticket_keys>
    private let protocols: [[UInt8]]

    /// Contexts for `certificates`, the first of which serves names that none is for. Without any, every handshake fails.
    public init(
        _ certificates: [Certificate], settings: TLSSettings, ticketKeys keys: TicketKeys
    ) throws(CertificateProblem) {
        unsafe initialContext = try Self.makeContext(settings, file: certificates.first?.path ?? "tls.certificates")
        unsafe ticketKeys = .allocate(capacity: 1)
        unsafe ticketKeys.initialize(to: zlh_ticket_keys())
        unsafe keys.store(in: ticketKeys)
        protocols = settings.protocols.map { Array($0.rawValue.utf8) }
        // For each name the first certificate of each kind of key.
        var holders: [String: [Int]] = [:]
        for (index, certificate) in certificates.enumerated() {
            for name in certificate.names
            where !holders[name, default: []].contains(where: { certificates[$0].keyType == certificate.keyType }) {
                holders[name, default: []].append(index)
            }
        }
        let first = certificates.first?.names.first.flatMap { holders[$0] } ?? Array(certificates.indices.prefix(1))
        unsafe contexts[first] = initialContext
        try unsafe fill(initialContext, first.map { certificates[$0] })
        for (name, members) in holders {
            if unsafe contexts[members] == nil {
                let context = try unsafe Self.makeContext(settings, file: certificates[members[0]].path)
                unsafe contexts[members] = context
                try unsafe fill(context, members.map { certificates[$0] })
            }
            unsafe byName[name] = contexts[members]
        }
    }

    private func fill(_ context: OpaquePointer, _ certificates: [Certificate]) throws(CertificateProblem) {
        for certificate in certificates { try unsafe Self.add(certificate, to: context) }
        let this = unsafe Unmanaged.passUnretained(self).toOpaque()
        unsafe zlh_use_ticket_keys(context, ticketKeys)
        unsafe zlh_set_servername_callback(context, chooseCertificate, this)
        unsafe SSL_CTX_set_alpn_select_cb(context, chooseProtocol, this)
    }

    /// Throws when no client could be served with this certificate: too weak for OpenSSL, or of a kind of key that no
    /// suite or group of ours goes with. What passes here passes in any store.
    public static func prove(_ certificate: Certificate, _ settings: TLSSettings) throws(CertificateProblem) {
        let store = try CertificateStore([certificate], settings: settings, ticketKeys: TicketKeys())
        guard unsafe zlh_serves_somebody(store.initialContext) == 1 else {
            throw CertificateProblem(
                file: certificate.path,
                message: "no client can be served with its key: "
                    + "use ECDSA on P-256 or P-384, RSA with 2048 bits or more, or Ed25519")
        }
    }

    deinit {
        unsafe contexts.values.forEach { unsafe SSL_CTX_free($0) }
        unsafe ticketKeys.deinitialize(count: 1)
        unsafe ticketKeys.deallocate()
    }

    /// Takes the keys of a rotation.
    public func adopt(_ keys: TicketKeys) {
        unsafe keys.store(in: ticketKeys)
    }

    /// The context for a server name: exact before wildcard, else the first.
    fileprivate func context(for name: String) -> OpaquePointer {
        if let exact = unsafe byName[name] { return unsafe exact }
        if let dot = name.firstIndex(of: "."), let fit = unsafe byName["*" + name[dot...]] { return unsafe fit }
        return unsafe initialContext
    }

    /// The index in `offered` (length-prefixed names) of our best protocol.
    fileprivate func choose(_ offered: UnsafeBufferPointer<UInt8>) -> Range<Int>? {
        for wanted in protocols {
            var at = 0
            while at < offered.count {
                let end = unsafe at + 1 + Int(offered[at])
                guard end <= offered.count else { return nil }
                if unsafe offered[(at + 1)..<end].elementsEqual(wanted) { return (at + 1)..<end }
                at = end
            }
        }
        return nil
    }

    private static func makeContext(_ settings: TLSSettings, file: String) throws(CertificateProblem) -> OpaquePointer {
        guard let context = unsafe SSL_CTX_new(TLS_server_method()) else {
            throw CertificateProblem(file: file, message: "OpenSSL has no memory for a context")
        }
        unsafe SSL_CTX_set_options(context, zlh_option_set())
        unsafe zlh_set_mode(context, zlh_mode_set())
        unsafe zlh_set_min_version(context, settings.requiresTLS13 ? TLS1_3_VERSION : TLS1_2_VERSION)
        // AEAD with forward secrecy only; OpenSSL's defaults would offer CBC, X448 and P-521 too.
        let suites =
            "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
            + "ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
        let suites13 = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
        guard unsafe SSL_CTX_set_cipher_list(context, suites) == 1,
            unsafe SSL_CTX_set_ciphersuites(context, suites13) == 1,
            unsafe zlh_set_groups(context, "X25519:P-256:P-384") == 1
        else {
            unsafe SSL_CTX_free(context)
            throw CertificateProblem(file: file, message: "OpenSSL lacks the cipher suites or groups")
        }
        unsafe zlh_session_cache_off(context)
        unsafe zlh_set_read_ahead(context)
        unsafe SSL_CTX_set_max_early_data(context, 0)
        // With the stateless tickets of several hosts under one wildcard, the host is checked per request, not here.
        let id: [UInt8] = Array("zlh-edge".utf8)
        unsafe SSL_CTX_set_session_id_context(context, id, UInt32(id.count))
        return unsafe context
    }

    private static func add(_ certificate: Certificate, to context: OpaquePointer) throws(CertificateProblem) {
        let chain = unsafe (try? OpenSSLObjects.certificates(in: certificate.chainPEM)) ?? []
        defer { unsafe chain.forEach { unsafe X509_free($0) } }
        let key = unsafe OpenSSLObjects.privateKey(in: certificate.keyPEM)
        defer { unsafe EVP_PKEY_free(key) }
        guard let leaf = unsafe chain.first, unsafe SSL_CTX_use_certificate(context, leaf) == 1,
            unsafe SSL_CTX_use_PrivateKey(context, key) == 1,
            unsafe chain.dropFirst().allSatisfy({ unsafe zlh_add_chain_certificate(context, $0) == 1 })
        else {
            ERR_clear_error()
            throw CertificateProblem(
                file: certificate.path,
                message: "OpenSSL refuses this certificate or key as too weak (a short key, or a signature with SHA-1)")
        }
    }
}

/// SNI. Answers by a pure look-up; nothing else happens in here.
private let chooseCertificate:
    @convention(c) (OpaquePointer?, UnsafeMutablePointer<Int32>?, UnsafeMutableRawPointer?) -> Int32 = {
        ssl, _, argument in
        guard let argument = unsafe argument, let ssl = unsafe ssl,
            let name = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)
        else { return SSL_TLSEXT_ERR_OK }
        let store = unsafe Unmanaged<CertificateStore>.fromOpaque(argument).takeUnretainedValue()
        let context = unsafe store.context(for: String(cString: name).lowercased())
        if unsafe context != SSL_get_SSL_CTX(ssl) { unsafe SSL_set_SSL_CTX(ssl, context) }
        return SSL_TLSEXT_ERR_OK
    }

/// ALPN. A client that offers none of ours is told so (RFC 7301 section 3.2).
private let chooseProtocol:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
        UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, argument in
        guard let argument = unsafe argument, let offered = unsafe offered else { return SSL_TLSEXT_ERR_NOACK }
        let store = unsafe Unmanaged<CertificateStore>.fromOpaque(argument).takeUnretainedValue()
        let list = unsafe UnsafeBufferPointer(start: offered, count: Int(offeredCount))
        guard let range = unsafe store.choose(list) else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        unsafe chosen?.pointee = unsafe offered + range.lowerBound
        unsafe chosenCount?.pointee = UInt8(range.count)
        return SSL_TLSEXT_ERR_OK
    }
