import COpenSSL
import Glibc

/// A certificate authority and a wildcard certificate for a machine of one's own, made without any tool.
///
/// The authority may vouch for the demo's own names only (a critical name constraint), so that trusting it in a
/// browser is no risk to any other site.
public enum DevelopmentCertificates {
    /// Why no certificate could be made.
    public enum Failure: Error, Sendable, CustomStringConvertible {
        /// A file could not be written; the system's reason.
        case file(path: String, reason: String)
        /// OpenSSL refused a step.
        case openSSL(step: String)

        /// One line for people.
        public var description: String {
            switch self {
            case .file(let path, let reason): "\(path): \(reason)"
            case .openSSL(let step): "OpenSSL could not \(step)"
            }
        }
    }

    private static let day: Int64 = 86_400
    /// Ten years.
    private static let authorityDays: Int64 = 3650
    /// Browsers refuse more than 398 days; an hour of it lies in the past, for clocks that are behind.
    private static let leafDays: Int64 = 396
    private static let renewalDays: Int64 = 30

    /// Makes what is missing in `directory` (created with mode 0700), or what expires within 30 days of `nowEpoch`
    /// (seconds): `ca.crt`, `ca.key`, `wildcard.crt` and `wildcard.key`, keys with mode 0600.
    ///
    /// The certificate is for `domain`, `*.domain`, `localhost`, 127.0.0.1 and ::1. Returns the paths of the
    /// authority's certificate, of the wildcard certificate and of its key.
    public static func make(
        in directory: String, domain: String, nowEpoch: Int64
    ) throws(Failure) -> (ca: String, certificate: String, key: String) {
        try PrivateFile.makeDirectory(directory)
        let paths = (
            ca: "\(directory)/ca.crt", certificate: "\(directory)/wildcard.crt", key: "\(directory)/wildcard.key"
        )
        var authority = try CertifiedKey.read(certificate: paths.ca, key: "\(directory)/ca.key")
        if let found = authority, !found.lasts(untilEpoch: nowEpoch + (leafDays + renewalDays) * day) {
            authority = nil
        }
        if let found = authority, !found.mayVouch(for: domain) { authority = nil }
        let leaf = try CertifiedKey.read(certificate: paths.certificate, key: paths.key)
        if let authority, let leaf, leaf.isIssued(by: authority), leaf.covers("any." + domain), leaf.covers(domain),
            leaf.lasts(untilEpoch: nowEpoch + renewalDays * day)
        {
            return paths
        }
        let issuer: CertifiedKey
        if let authority {
            issuer = authority
        } else {
            issuer = try makeAuthority(domain, nowEpoch)
            try issuer.write(certificate: paths.ca, key: "\(directory)/ca.key")
        }
        try makeLeaf(domain, nowEpoch, issuer).write(certificate: paths.certificate, key: paths.key)
        return paths
    }

    private static func makeAuthority(_ domain: String, _ nowEpoch: Int64) throws(Failure) -> CertifiedKey {
        let made = try CertifiedKey.new(
            commonName: "zlh-edge development CA (\(domain))", notBefore: nowEpoch - 3600,
            notAfter: nowEpoch + authorityDays * day)
        try made.extend(NID_basic_constraints, "critical,CA:TRUE,pathlen:0", issuer: made)
        try made.extend(NID_key_usage, "critical,keyCertSign,cRLSign", issuer: made)
        try made.extend(NID_subject_key_identifier, "hash", issuer: made)
        try made.extend(
            NID_name_constraints,
            "critical,permitted;DNS:\(domain),permitted;DNS:localhost,permitted;IP:127.0.0.0/255.0.0.0,"
                + "permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", issuer: made)
        try made.sign(by: made)
        return made
    }

    private static func makeLeaf(_ domain: String, _ nowEpoch: Int64, _ issuer: CertifiedKey) throws(Failure)
        -> CertifiedKey
    {
        let made = try CertifiedKey.new(
            commonName: domain, notBefore: nowEpoch - 3600, notAfter: nowEpoch + leafDays * day)
        try made.extend(NID_basic_constraints, "critical,CA:FALSE", issuer: issuer)
        try made.extend(NID_key_usage, "critical,digitalSignature", issuer: issuer)
        try made.extend(NID_ext_key_usage, "serverAuth", issuer: issuer)
        try made.extend(NID_subject_key_identifier, "hash", issuer: issuer)
        try made.extend(NID_authority_key_identifier, "keyid:always", issuer: issuer)
        try made.extend(
            NID_subject_alt_name, "DNS:\(domain),DNS:*.\(domain),DNS:localhost,IP:127.0.0.1,IP:::1", issuer: issuer)
        try made.sign(by: issuer)
        return made
    }
}

/// A certificate and its key.
@safe
private final class CertifiedKey {
    private let certificate: OpaquePointer
    private let key: OpaquePointer

    /// Takes ownership of both.
    private init(_ certificate: OpaquePointer, _ key: OpaquePointer) {
        unsafe self.certificate = certificate
        unsafe self.key = key
    }

    deinit {
        unsafe X509_free(certificate)
        unsafe EVP_PKEY_free(key)
    }

    // MARK: Making one

    /// A new P-256 key and an unsigned certificate for it, in its own name.
    static func new(
        commonName: String, notBefore: Int64, notAfter: Int64
    ) throws(DevelopmentCertificates.Failure) -> CertifiedKey {
        guard let key = unsafe zlh_generate_p256() else { throw .openSSL(step: "make a key") }
        guard let certificate = unsafe X509_new() else {
            unsafe EVP_PKEY_free(key)
            throw .openSSL(step: "make a certificate")
        }
        let made = unsafe CertifiedKey(certificate, key)
        let name = unsafe X509_get_subject_name(certificate)
        let bytes = Array(commonName.utf8)
        // Version 3 is written 2 (RFC 5280 section 4.1.2.1).
        let isMade =
            unsafe X509_set_version(certificate, 2) == 1 && made.setRandomSerial()
            && ASN1_TIME_set(X509_getm_notBefore(certificate), time_t(notBefore)) != nil
            && ASN1_TIME_set(X509_getm_notAfter(certificate), time_t(notAfter)) != nil
            && X509_set_pubkey(certificate, key) == 1
            && X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, bytes, Int32(bytes.count), -1, 0)
                == 1
        guard isMade else { throw .openSSL(step: "fill a certificate") }
        return made
    }

    /// 127 random bits, positive and not zero (RFC 5280 section 4.1.2.2).
    private func setRandomSerial() -> Bool {
        guard let number = unsafe BN_new() else { return false }
        defer { unsafe BN_free(number) }
        return unsafe BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1
            && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != nil
    }

    func extend(_ nid: Int32, _ value: String, issuer: CertifiedKey) throws(DevelopmentCertificates.Failure) {
        guard unsafe zlh_add_extension(certificate, issuer.certificate, nid, value) == 1 else {
            throw .openSSL(step: "add the extension \(value)")
        }
    }

    func sign(by issuer: CertifiedKey) throws(DevelopmentCertificates.Failure) {
        guard
            unsafe X509_set_issuer_name(certificate, X509_get_subject_name(issuer.certificate)) == 1,
            unsafe X509_sign(certificate, issuer.key, EVP_sha256()) > 0
        else { throw .openSSL(step: "sign a certificate") }
    }

    // MARK: Judging one

    func lasts(untilEpoch epoch: Int64) -> Bool {
        var time = time_t(epoch)
        return unsafe X509_cmp_time(X509_get0_notAfter(certificate), &time) > 0
    }

    func isIssued(by issuer: CertifiedKey) -> Bool {
        unsafe X509_check_issued(issuer.certificate, certificate) == X509_V_OK
            && X509_verify(certificate, issuer.key) == 1
    }

    func covers(_ host: String) -> Bool {
        unsafe X509_check_host(certificate, host, 0, 0, nil) == 1
    }

    /// Whether this authority was made for that domain: its name says so.
    func mayVouch(for domain: String) -> Bool {
        var buffer = [CChar](repeating: 0, count: 512)
        let count = unsafe X509_NAME_get_text_by_NID(
            X509_get_subject_name(certificate), NID_commonName, &buffer, Int32(buffer.count))
        let name = String(decoding: buffer.prefix(max(0, Int(count))).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return name == "zlh-edge development CA (\(domain))"
    }

    // MARK: Files

    /// Reads a pair that fits together; `nil` when a file is missing or holds something else.
    static func read(certificate: String, key: String) throws(DevelopmentCertificates.Failure) -> CertifiedKey? {
        guard let certificateFile = unsafe BIO_new_file(certificate, "r") else {
            ERR_clear_error()
            return nil
        }
        defer { unsafe BIO_free(certificateFile) }
        guard let keyFile = unsafe BIO_new_file(key, "r") else {
            ERR_clear_error()
            return nil
        }
        defer { unsafe BIO_free(keyFile) }
        defer { ERR_clear_error() }
        guard let parsedCertificate = unsafe PEM_read_bio_X509(certificateFile, nil, nil, nil) else { return nil }
        guard let parsedKey = unsafe PEM_read_bio_PrivateKey(keyFile, nil, nil, nil) else {
            unsafe X509_free(parsedCertificate)
            return nil
        }
        let found = unsafe CertifiedKey(parsedCertificate, parsedKey)
        return unsafe X509_check_private_key(parsedCertificate, parsedKey) == 1 ? found : nil
    }

    /// Writes both; the key first, so that a crash between the two leaves a pair that does not fit and is made anew.
    func write(certificate path: String, key keyPath: String) throws(DevelopmentCertificates.Failure) {
        guard let memory = unsafe BIO_new(BIO_s_mem()) else { throw .openSSL(step: "allocate") }
        defer { unsafe BIO_free(memory) }
        guard unsafe PEM_write_bio_PrivateKey(memory, key, nil, nil, 0, nil, nil) == 1 else {
            throw .openSSL(step: "encode a key")
        }
        try unsafe PrivateFile.write(Self.contents(of: memory), to: keyPath, mode: 0o600)
        _ = unsafe BIO_ctrl(memory, BIO_CTRL_RESET, 0, nil)
        guard unsafe PEM_write_bio_X509(memory, certificate) == 1 else {
            throw .openSSL(step: "encode a certificate")
        }
        try unsafe PrivateFile.write(Self.contents(of: memory), to: path, mode: 0o644)
    }

    private static func contents(of memory: OpaquePointer) -> [UInt8] {
        var start: UnsafePointer<CChar>?
        let count = unsafe zlh_bio_contents(memory, &start)
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: max(0, count))
        return unsafe Array(bytes)
    }
}

/// Files that appear whole and with their final mode.
private enum PrivateFile {
    static func makeDirectory(_ path: String) throws(DevelopmentCertificates.Failure) {
        var partial = path.hasPrefix("/") ? "/" : ""
        for part in path.split(separator: "/") {
            partial += part + "/"
            guard unsafe mkdir(partial, 0o700) == 0 || errno == EEXIST else { throw failure(partial) }
        }
    }

    static func write(_ bytes: [UInt8], to path: String, mode: mode_t) throws(DevelopmentCertificates.Failure) {
        let temporary = path + ".new"
        _ = unsafe unlink(temporary)
        let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)
        guard file >= 0 else { throw failure(temporary) }
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else {
                let reason = failure(temporary)
                close(file)
                throw reason
            }
            rest = rest.dropFirst(count)
        }
        // The mode given to open(2) is cut by the process's mask; a certificate is for everyone.
        let isWritten = fchmod(file, mode) == 0
        guard close(file) == 0, isWritten, unsafe rename(temporary, path) == 0 else { throw failure(path) }
    }

    private static func failure(_ path: String) -> DevelopmentCertificates.Failure {
        .file(path: path, reason: unsafe String(cString: strerror(errno)))
    }
}
