import Glibc
import TLS
import Testing

/// Each problem names the file to mend and says how.
@Suite struct CertificateTests {
    @Test func aGoodPairIsReadWithItsNames() throws {
        let elliptic = try Fixture.certificate("wildcard")
        #expect(elliptic.names == ["*.example.test"])
        #expect(elliptic.keyKind == "ecdsa")
        #expect(elliptic.notAfter > Fixture.day)
        let rsa = try Fixture.certificate("wildcard-rsa")
        #expect(rsa.keyKind == "rsa")
        #expect(try Fixture.certificate("other").names == ["other.test"])
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let certificate: String
        let key: String
        /// The file to blame and what is said of it.
        let file: String
        let words: String
        var testDescription: String { "\(certificate) with \(key): \(words)" }
    }

    @Test(arguments: [
        Bad(certificate: "wildcard.crt", key: "exact.key", file: "exact.key", words: "does not belong"),
        Bad(certificate: "wildcard.crt", key: "wildcard-rsa.key", file: "wildcard-rsa.key", words: "does not belong"),
        Bad(certificate: "wildcard.crt", key: "locked.key", file: "locked.key", words: "passphrase"),
        Bad(certificate: "wildcard.crt", key: "none.key", file: "none.key", words: "No such file"),
        Bad(certificate: "none.crt", key: "wildcard.key", file: "none.crt", words: "No such file"),
        Bad(certificate: "wildcard.key", key: "wildcard.key", file: "wildcard.key", words: "no PEM certificate"),
        Bad(certificate: "wildcard.crt", key: "wildcard.crt", file: "wildcard.crt", words: "no PEM private key"),
        Bad(certificate: "", key: "wildcard.key", file: "", words: "regular file"),
    ])
    func problemsNameTheFile(_ bad: Bad) {
        let problem = #expect(throws: CertificateProblem.self) {
            try Certificate(certificatePath: Fixture.path(bad.certificate), keyPath: Fixture.path(bad.key))
        }
        #expect(problem?.file == Fixture.path(bad.file))
        #expect(problem?.message.contains(bad.words) == true, "\(problem?.message ?? "")")
    }

    @Test func whatIsNoFileIsNotRead() {
        let problem = #expect(throws: CertificateProblem.self) {
            try Certificate(certificatePath: "/dev/zero", keyPath: Fixture.path("wildcard.key"))
        }
        #expect(problem?.file == "/dev/zero")
        #expect(problem?.message.contains("regular file") == true)
    }

    /// Of a lifetime of a hundred units so many are left, and what is said of it.
    @Test(arguments: [
        (100, nil), (34, nil), (33, 1), (17, 1), (16, 2), (6, 2), (5, 3), (1, 3), (0, 4), (-7, 4), (101, 5),
    ])
    func concernGrowsAsTheEndComesNearer(left: Int64, stage: Int?) throws {
        let certificate = try Fixture.certificate("wildcard")
        let unit = (certificate.notAfter - certificate.notBefore) / 100
        let concern = certificate.concern(now: certificate.notAfter - left * unit)
        #expect(concern?.stage == stage)
        #expect(concern?.isOutOfDate ?? false == (left <= 0 || left > 100))
    }

    @Test func aKeyTooWeakIsRefusedByName() throws {
        let weak = try Fixture.certificate("weak")
        let problem = #expect(throws: CertificateProblem.self) {
            try CertificateStore.prove(weak, TLSSettings())
        }
        #expect(problem?.file == Fixture.path("weak.crt"))
        #expect(problem?.message.contains("weak") == true)
    }

    /// A reload may meet a certificate that OpenSSL refuses any number of times.
    @Test func aRefusalLeavesNoContexts() throws {
        let certificates = try ["wildcard", "weak"].map { name throws in try Fixture.certificate(name) }
        let before = LiveContexts.ofThisThread
        #expect(throws: CertificateProblem.self) {
            try CertificateStore(certificates, settings: TLSSettings(), ticketKeys: TicketKeys())
        }
        #expect(LiveContexts.ofThisThread == before)
    }
}
