import Testing

@testable import Wire

@Suite("Accept-Encoding")
struct AcceptEncodingTests {
    @Test(
        "one field",
        arguments: [
            ("gzip", true), ("GZip", true), ("x-gzip", true), ("X-GZIP;q=0.1", true), ("*", true), ("*;q=0.001", true),
            ("gzip, deflate, br, zstd", true), ("br, gzip", true), ("br;q=1.0, gzip;q=0.8, *;q=0.1", true),
            ("deflate ,\t gzip ; q=1", true), (",, ,gzip,", true), ("gzip;q=1.000", true), ("gzip;Q=0.5", true),
            ("gzip;\tq=0.5\t", true),
            ("", false), (" ", false), ("identity", false), ("br", false), ("deflate", false), ("gzip;q=0", false),
            ("gzip;q=0.0", false), ("gzip;q=0.000", false), ("*;q=0", false), ("gzip;q=0, *", false),
            ("*, gzip;q=0", false), ("*;q=0, gzip", true), ("br, *;q=0", false),
            // Identity may be wanted more.
            ("identity, gzip;q=0.5", false), ("identity;q=0.5, gzip;q=1", true), ("gzip, identity", true),
            ("gzip;q=0.5, identity;q=0", true), ("identity;q=0.2, *;q=0.1", false), ("identity;q=x, gzip;q=0.9", false),
            // Said twice: the lower counts.
            ("gzip, gzip;q=0", false), ("gzip;q=0, x-gzip", false), ("gzip;q=0.1, gzip", true),
            // Malformed: no.
            ("gzip;q=", false), ("gzip;q", false), ("gzip;", false), ("gzip;;q=1", false), ("gzip;q=1.0000", false),
            ("gzip;q=1.1", false), ("gzip;q=2", false), ("gzip;q=-1", false), ("gzip;q=.5", false),
            ("gzip;q=0.5;x=1", false), ("gzip;q= 1", false), ("gzip; q =1", false), ("gzip;q=0,5", false),
            ("gzip;q=1e0", false), ("gzip;q=\"1\"", false), ("gzip q=1", false), ("gzip gzip", false),
            ("gzip;p=1", false), ("gzip;level=9;q=1", false), ("*;q=9", false), ("\"gzip\"", false), ("gzip/1", false),
            ("gz", false), ("gzipp", false), ("xgzip", false), ("x-gzip2", false), ("**", false), ("gzip\u{e9}", false),
            ("gzip;q=\u{661}", false),
        ] as [(String, Bool)])
    func oneField(_ text: String, _ expected: Bool) {
        var said = AcceptEncoding()
        said.add(Array(text.utf8).span)
        #expect(said.prefersGzip == expected)
    }

    @Test(
        "several fields are one list",
        arguments: [
            ([], false), (["br", "gzip"], true), (["gzip", "gzip;q=0"], false), (["identity", "gzip;q=0.5"], false),
            (["*;q=0", "gzip"], true), (["", "", "x-gzip"], true),
        ] as [([String], Bool)])
    func severalFields(_ values: [String], _ expected: Bool) throws {
        let lines = values.map { "Accept-Encoding: \($0)\r\n" }.joined()
        try withFields(lines) { bytes, fields in #expect(AcceptEncoding.prefersGzip(bytes, fields) == expected) }
    }

    @Test("long and odd fields")
    func hostile() {
        let long = String(repeating: "a;q=0.5,", count: 4000) + "gzip"
        let commas = String(repeating: ",", count: 32_000) + "gzip"
        let semicolons = "gzip" + String(repeating: ";", count: 32_000)
        let digits = "gzip;q=0." + String(repeating: "9", count: 32_000)
        for (text, expected) in [(long, true), (commas, true), (semicolons, false), (digits, false)] {
            var said = AcceptEncoding()
            said.add(Array(text.utf8).span)
            #expect(said.prefersGzip == expected)
        }
        // Every byte in every place of a member.
        let member = Array("gzip;q=0.5".utf8)
        for place in member.indices {
            for byte in UInt8.min...UInt8.max {
                var bytes = member
                bytes[place] = byte
                var said = AcceptEncoding()
                said.add(bytes.span)
                let text = String(decoding: bytes, as: UTF8.self).lowercased()
                let isFine =
                    text.hasPrefix("gzip;q=0.") && (0x31...0x39).contains(bytes[9])
                    || ["gzip;q=1.0", "gzip,q=0.5"].contains(text)
                #expect(said.prefersGzip == isFine, "\(text)")
            }
        }
    }
}
