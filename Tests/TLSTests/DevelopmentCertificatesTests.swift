import FoundationEssentials
import Glibc
import TLS
import Testing

@Suite struct DevelopmentCertificatesTests {
    private static let day: Int64 = 86_400
    private static let start: Int64 = 1_790_000_000
    private let folder = "\(FileManager.default.temporaryDirectory.path)/zlh-certificates-\(UUID().uuidString)/deep"

    private func make(atDay day: Int64, domain: String = "zlh.localhost") throws -> [String] {
        let paths = try DevelopmentCertificates.make(
            in: folder, domain: domain, nowEpoch: Self.start + day * Self.day)
        return try [paths.ca, paths.certificate, paths.key].map { try String(contentsOfFile: $0, encoding: .utf8) }
    }

    @Test func makesThreeFilesAndKeepsTheKeysPrivate() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let files = try make(atDay: 0)
        #expect(files[0].hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(files[1].hasPrefix("-----BEGIN CERTIFICATE-----"))
        #expect(files[2].hasPrefix("-----BEGIN PRIVATE KEY-----"))
        for name in ["ca.key", "wildcard.key"] {
            var status = stat()
            #expect(unsafe lstat("\(folder)/\(name)", &status) == 0)
            #expect(status.st_mode & 0o7777 == 0o600)
        }
    }

    /// Day on which it is called again, whether the authority and whether the certificate stay.
    @Test(arguments: [(0, true, true), (365, true, true), (367, true, false), (3300, false, false)])
    func renewsWhatNearsItsEnd(day: Int64, keepsAuthority: Bool, keepsCertificate: Bool) throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let before = try make(atDay: 0)
        let after = try make(atDay: day)
        #expect((before[0] == after[0]) == keepsAuthority)
        #expect((before[1] == after[1]) == keepsCertificate)
    }

    @Test func anotherDomainOrADamagedKeyMeansANewPair() throws {
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let first = try make(atDay: 0)
        let second = try make(atDay: 0, domain: "other.localhost")
        #expect(first[0] != second[0])
        #expect(first[1] != second[1])
        try "broken".write(toFile: "\(folder)/wildcard.key", atomically: true, encoding: .utf8)
        let third = try make(atDay: 0, domain: "other.localhost")
        #expect(second[0] == third[0])
        #expect(second[1] != third[1])
    }

    @Test func saysWhichFileCouldNotBeWritten() {
        #expect(throws: DevelopmentCertificates.Failure.self) {
            try DevelopmentCertificates.make(in: "/proc/nowhere", domain: "zlh.localhost", nowEpoch: Self.start)
        }
    }
}
