import Glibc
import TLS
import Testing

/// Each problem names the file to mend and says how.
@Suite struct CertificateTests {
    @Test func aGoodPairIsReadWithItsNames() throws {
        let elliptic = try Fixture.certificate("wildcard")
        #expect(elliptic.names == ["*.example.test"])
        #expect(elliptic.isElliptic)
        #expect(elliptic.notAfter > Fixture.day)
        let rsa = try Fixture.certificate("wildcard-rsa")
        #expect(!rsa.isElliptic)
        #expect(try Fixture.certificate("other").names == ["other.test"])
    }

    struct Bad: Sendable, CustomTestStringConvertible {
        let certificate: String
        let key: String
        var now = Fixture.day
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
        Bad(
            certificate: "wildcard.crt", key: "wildcard.key", now: 9_000_000_000, file: "wildcard.crt", words: "expired"
        ),
        Bad(certificate: "wildcard.crt", key: "wildcard.key", now: 1_000_000_000, file: "wildcard.crt", words: "clock"),
        Bad(certificate: "", key: "wildcard.key", file: "", words: "directory"),
    ])
    func problemsNameTheFile(_ bad: Bad) {
        let problem = #expect(throws: CertificateProblem.self) {
            try Certificate(
                certificatePath: Fixture.path(bad.certificate), keyPath: Fixture.path(bad.key), now: bad.now)
        }
        #expect(problem?.file == Fixture.path(bad.file))
        #expect(problem?.message.contains(bad.words) == true, "\(problem?.message ?? "")")
    }

    @Test func anEndlessFileIsNotReadToItsEnd() {
        let problem = #expect(throws: CertificateProblem.self) {
            try Certificate(certificatePath: "/dev/zero", keyPath: Fixture.path("wildcard.key"), now: Fixture.day)
        }
        #expect(problem?.file == "/dev/zero")
        #expect(problem?.message.contains("1 MiB") == true)
    }

    @Test func aKeyTooWeakIsRefusedByName() throws {
        let weak = try Fixture.certificate("weak")
        let problem = #expect(throws: CertificateProblem.self) {
            try CertificateStore([weak], settings: TLSSettings(), ticketKeys: TicketKeys())
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
