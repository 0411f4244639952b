import Testing

@testable import Supervisor

@Suite struct NGHTTP2FixesTests {
    @Test(
        arguments: [
            ("1.52.0", "1.52.0-1+deb12u3", true), ("1.52.0", "1.52.0-1+deb12u12", true),
            ("1.52.0", "1.52.0-1+deb12u2", false), ("1.52.0", "1.52.0-1", false), ("1.52.0", nil, false),
            ("1.68.0", nil, false), ("1.68.1", nil, true), ("1.100.0", nil, true), ("2.0.0", nil, true),
            ("1.59.0", "1.59.0-1ubuntu0.2", false), ("unknown", nil, false),
        ] as [(String, String?, Bool)])
    func knowsWhoHasThem(upstream: String, package: String?, hasThem: Bool) {
        let fixes = NGHTTP2Fixes(upstream: upstream, package: package)
        #expect((fixes.warning == nil) == hasThem)
        #expect(fixes.version == (package.map { "\(upstream) (\($0))" } ?? upstream))
    }

    @Test func findsThePackageInDpkgsList() {
        let list = """
            Package: libnghttp2-dev
            Status: install ok installed
            Version: 1.0-dev

            Package: libnghttp2-14
            Architecture: amd64
            Version: 1.52.0-1+deb12u3
            Description: Version: 9
             Version: 8

            Package: libz
            Version: 7
            """
        #expect(NGHTTP2Fixes.packageVersion(in: Array(list.utf8)) == "1.52.0-1+deb12u3")
        #expect(NGHTTP2Fixes.packageVersion(in: Array("Package: libz\nVersion: 7".utf8)) == nil)
        #expect(NGHTTP2Fixes.packageVersion(in: []) == nil)
    }
}
