import COpenSSL
import Glibc

/// Why a certificate or its key cannot be used; `file` is the one to mend.
public struct CertificateProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The path as configured.
    public let file: String
    /// What is wrong with it.
    public let message: String
    /// Whether it is the system's trouble rather than the file's: to be tried again.
    public let mayPass: Bool

    /// A problem with one file.
    public init(file: String, message: String, mayPass: Bool = false) {
        self.file = file
        self.message = message
        self.mayPass = mayPass
    }

    static func system(_ file: String, _ code: Int32) -> CertificateProblem {
        let passing = [EMFILE, ENFILE, ENOMEM, EAGAIN, EINTR, EIO, ESTALE, ETIMEDOUT]
        return CertificateProblem(
            file: file, message: unsafe String(cString: strerror(code)), mayPass: passing.contains(code))
    }

    /// `file: message`.
    public var description: String { "\(file): \(message)" }
}

/// A certificate chain and its key, read and checked: parseable, and belonging together. Whether it is in date is a
/// matter of the moment (`concern`): an expired one is served, since it may be the only one, and the others need it not.
/// An immutable value that any thread may hold; each loop makes OpenSSL objects of its own from it.
public struct Certificate: Sendable, Equatable {
    /// Where the chain came from.
    public let path: String
    /// The DNS names it is for, lower-case; a wildcard as `*.example.com`.
    public let names: [String]
    /// The beginning of its validity, seconds since 1970.
    public let notBefore: Int64
    /// The end of its validity, seconds since 1970.
    public let notAfter: Int64
    /// OpenSSL's number for the kind of its key; certificates of several kinds may stand for one name.
    let keyType: Int32
    let chainPEM: [UInt8]
    let keyPEM: [UInt8]
    /// What is odd about the chain; it is served as it is.
    public let warnings: [String]

    /// Reads and checks a chain and key in PEM. Blocks on the disk, never on what is no file.
    public init(certificatePath: String, keyPath: String) throws(CertificateProblem) {
        path = certificatePath
        chainPEM = try Self.read(certificatePath)
        keyPEM = try Self.read(keyPath)
        let chain: [OpaquePointer]
        do {
            unsafe chain = try OpenSSLObjects.certificates(in: chainPEM)
        } catch {
            throw CertificateProblem(file: certificatePath, message: "its certificate \(error.place) cannot be read")
        }
        defer { unsafe chain.forEach { unsafe X509_free($0) } }
        guard let leaf = unsafe chain.first else {
            throw CertificateProblem(file: certificatePath, message: "holds no PEM certificate")
        }
        guard let key = unsafe OpenSSLObjects.privateKey(in: keyPEM) else {
            throw CertificateProblem(file: keyPath, message: "holds no PEM private key, or one with a passphrase")
        }
        defer { unsafe EVP_PKEY_free(key) }
        guard unsafe X509_check_private_key(leaf, key) == 1 else {
            let isFurtherBehind = unsafe chain.contains { unsafe X509_check_private_key($0, key) == 1 }
            ERR_clear_error()
            throw CertificateProblem(
                file: isFurtherBehind ? certificatePath : keyPath,
                message: isFurtherBehind
                    ? "the certificate of the key is not the first in the file: put it before those that sign it"
                    : "this key does not belong to the certificate in \(certificatePath)")
        }
        guard let begins = unsafe OpenSSLObjects.epoch(X509_get0_notBefore(leaf)),
            let ends = unsafe OpenSSLObjects.epoch(X509_get0_notAfter(leaf))
        else {
            throw CertificateProblem(file: certificatePath, message: "its validity dates cannot be read")
        }
        notBefore = begins
        notAfter = ends
        names = unsafe OpenSSLObjects.dnsNames(of: leaf)
        keyType = unsafe EVP_PKEY_get_base_id(key)
        var warnings: [String] = []
        if names.isEmpty { warnings.append("names no host (subjectAltName): browsers will refuse it") }
        for index in unsafe chain.indices.dropFirst()
        where unsafe X509_check_issued(chain[index], chain[index - 1]) != X509_V_OK {
            warnings.append(
                "its certificate \(index + 1) did not sign the one before it: browsers may refuse the chain")
        }
        ERR_clear_error()
        self.warnings = warnings
    }

    /// The kind of its key for people: `rsa`, `ecdsa`, `ed25519`.
    public var keyKind: String {
        switch keyType {
        case EVP_PKEY_RSA, EVP_PKEY_RSA_PSS: "rsa"
        case EVP_PKEY_EC: "ecdsa"
        case EVP_PKEY_ED25519: "ed25519"
        default: "other"
        }
    }

    private static func read(_ path: String) throws(CertificateProblem) -> [UInt8] {
        // Without O_NONBLOCK a FIFO in the file's place would hold us here.
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(path, errno) }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else { throw .system(path, errno) }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw CertificateProblem(file: path, message: "is not a regular file")
        }
        // A chain is some KiB; a wrong file is not read to its end.
        let limit = 1 << 20
        var bytes: [UInt8] = []
        while bytes.count <= limit {
            var failure: Int32 = 0
            let chunk = unsafe [UInt8](unsafeUninitializedCapacity: 65536) { buffer, count in
                let got = unsafe Glibc.read(descriptor, buffer.baseAddress, buffer.count)
                failure = got < 0 ? errno : 0
                count = max(0, got)
            }
            if failure == EINTR { continue }
            if failure != 0 { throw .system(path, failure) }
            if chunk.isEmpty { return bytes }
            bytes += chunk
        }
        throw CertificateProblem(file: path, message: "larger than 1 MiB: not a certificate or key")
    }
}

extension Certificate {
    /// What its dates give cause for.
    public struct Concern: Sendable, Equatable {
        /// Grows as the end comes nearer: 1 with a third of its lifetime left, 2 with a sixth, 3 with a twentieth, 4 when
        /// it is over, and 5 when it has not begun.
        public let stage: Int
        /// What is wrong and how to mend it.
        public let message: String
        /// Whether browsers refuse it now.
        public var isOutOfDate: Bool { stage >= 4 }
    }

    /// What there is to say of its dates; `nil` while more than a third of its lifetime is left.
    public func concern(now: Int64) -> Concern? {
        let left = notAfter - now
        if left <= 0 {
            return Concern(stage: 4, message: "EXPIRED \(Self.span(-left)) ago, browsers refuse it: renew it")
        }
        if now < notBefore {
            let wait = Self.span(notBefore - now)
            return Concern(stage: 5, message: "NOT VALID for \(wait) yet, browsers refuse it: check the clock")
        }
        let part = (notAfter - notBefore) / max(1, left)
        guard part >= 3 else { return nil }
        return Concern(
            stage: part >= 20 ? 3 : part >= 6 ? 2 : 1, message: "expires in \(Self.span(left)): renew it")
    }

    private static func span(_ seconds: Int64) -> String {
        switch seconds {
        case ..<7200: "\(seconds / 60) min"
        case ..<(2 * 86_400): "\(seconds / 3600) h"
        default: "\(seconds / 86_400) days"
        }
    }
}

/// PEM and X.509 through OpenSSL. What is returned is the caller's to free.
enum OpenSSLObjects {
    /// The certificate with this number, counted from 1, is none.
    struct Malformed: Error { let place: Int }

    static func certificates(in pem: [UInt8]) throws(Malformed) -> [OpaquePointer] {
        var found: [OpaquePointer] = unsafe []
        let isWhole = unsafe withMemoryBIO(pem) { bio in
            while let certificate = unsafe PEM_read_bio_X509(bio, nil, refuseToAsk, nil) {
                unsafe found.append(certificate)
            }
            // The one way to tell the end of the text from a fault in it.
            defer { ERR_clear_error() }
            return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE
        }
        guard isWhole else {
            unsafe found.forEach { unsafe X509_free($0) }
            throw Malformed(place: unsafe found.count + 1)
        }
        return unsafe found
    }

    static func privateKey(in pem: [UInt8]) -> OpaquePointer? {
        unsafe withMemoryBIO(pem) { bio in
            let key = unsafe PEM_read_bio_PrivateKey(bio, nil, refuseToAsk, nil)
            ERR_clear_error()
            return unsafe key
        }
    }

    static func epoch(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        var parts = unsafe tm()
        guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return nil }
        return unsafe Int64(timegm(&parts))
    }

    static func dnsNames(of certificate: OpaquePointer) -> [String] {
        guard let raw = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
        let list = OpaquePointer(raw)
        defer { unsafe GENERAL_NAMES_free(list) }
        var names: [String] = []
        for index in 0..<(unsafe zlh_names_count(list)) {
            guard let text = unsafe zlh_dns_name(list, index) else { continue }
            unsafe names.append(String(cString: text).lowercased())
        }
        return names
    }

    private static func withMemoryBIO<R>(_ bytes: [UInt8], _ body: (OpaquePointer?) -> R) -> R {
        unsafe bytes.withUnsafeBytes { buffer in
            let bio = unsafe BIO_new_mem_buf(buffer.baseAddress, Int32(buffer.count))
            defer { unsafe BIO_free(bio) }
            return unsafe body(bio)
        }
    }

    /// A key with a passphrase is refused, never asked for on a terminal.
    private static let refuseToAsk:
        @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?)
            -> Int32 = { _, _, _, _ in -1 }
}
