import COpenSSL
import Glibc

/// Why a certificate or its key cannot be used; `file` is the one to mend.
public struct CertificateProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The path as configured.
    public let file: String
    /// What is wrong with it.
    public let message: String

    /// A problem with one file.
    public init(file: String, message: String) {
        self.file = file
        self.message = message
    }

    /// `file: message`.
    public var description: String { "\(file): \(message)" }
}

/// A certificate chain and its key, read and checked: parseable, in date, and belonging together. An immutable value
/// that any thread may hold; each loop makes OpenSSL objects of its own from it.
public struct Certificate: Sendable, Equatable {
    /// Where the chain came from.
    public let path: String
    /// The DNS names it is for, lower-case; a wildcard as `*.example.com`.
    public let names: [String]
    /// The end of its validity, seconds since 1970.
    public let notAfter: Int64
    /// Whether its key is ECDSA or EdDSA rather than RSA.
    public let isElliptic: Bool
    let chainPEM: [UInt8]
    let keyPEM: [UInt8]

    /// Reads and checks a chain and key in PEM. `now` is seconds since 1970.
    public init(certificatePath: String, keyPath: String, now: Int64) throws(CertificateProblem) {
        path = certificatePath
        chainPEM = try Self.read(certificatePath)
        keyPEM = try Self.read(keyPath)
        guard let leaf = unsafe OpenSSLObjects.certificates(in: chainPEM).first else {
            throw CertificateProblem(file: certificatePath, message: "holds no PEM certificate")
        }
        defer { unsafe X509_free(leaf) }
        guard let key = unsafe OpenSSLObjects.privateKey(in: keyPEM) else {
            throw CertificateProblem(file: keyPath, message: "holds no PEM private key, or one with a passphrase")
        }
        defer { unsafe EVP_PKEY_free(key) }
        guard unsafe X509_check_private_key(leaf, key) == 1 else {
            ERR_clear_error()
            throw CertificateProblem(
                file: keyPath, message: "this key does not belong to the certificate in \(certificatePath)")
        }
        guard let begins = unsafe OpenSSLObjects.epoch(X509_get0_notBefore(leaf)),
            let ends = unsafe OpenSSLObjects.epoch(X509_get0_notAfter(leaf))
        else {
            throw CertificateProblem(file: certificatePath, message: "its validity dates cannot be read")
        }
        guard now >= begins else {
            throw CertificateProblem(
                file: certificatePath, message: "not valid before \(begins) (seconds since 1970): check the clock")
        }
        guard now < ends else {
            throw CertificateProblem(
                file: certificatePath, message: "expired \((now - ends) / 86_400) days ago: renew it")
        }
        notAfter = ends
        names = unsafe OpenSSLObjects.dnsNames(of: leaf)
        let type = unsafe EVP_PKEY_get_base_id(key)
        isElliptic = type != EVP_PKEY_RSA && type != EVP_PKEY_RSA_PSS
    }

    private static func read(_ path: String) throws(CertificateProblem) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw CertificateProblem(file: path, message: unsafe String(cString: strerror(errno)))
        }
        defer { close(descriptor) }
        // A chain is some KiB; a device or a wrong file is not read to its end.
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
            if failure != 0 { throw CertificateProblem(file: path, message: unsafe String(cString: strerror(failure))) }
            if chunk.isEmpty { return bytes }
            bytes += chunk
        }
        throw CertificateProblem(file: path, message: "larger than 1 MiB: not a certificate or key")
    }
}

/// PEM and X.509 through OpenSSL. What is returned is the caller's to free.
enum OpenSSLObjects {
    static func certificates(in pem: [UInt8]) -> [OpaquePointer] {
        unsafe withMemoryBIO(pem) { bio in
            var found: [OpaquePointer] = unsafe []
            while let certificate = unsafe PEM_read_bio_X509(bio, nil, refuseToAsk, nil) {
                unsafe found.append(certificate)
            }
            ERR_clear_error()
            return unsafe found
        }
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
