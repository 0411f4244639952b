import Testing
import Wire

@Suite("trailer sections")
struct TrailerTests {
    private func trailers(_ text: String, limits: HeadLimits = .trailers) -> Verdict {
        let bytes = Array(text.utf8)
        let fields = HeadFields(capacity: 200)
        var scan = HeadScan()
        return feedEveryWay(bytes) { count, isNew in
            if isNew { scan = HeadScan() }
            switch HTTP1.parseTrailers(bytes.span.extracting(0..<count), scan: &scan, into: fields, limits: limits) {
            case .complete(let size): return Verdict(text: "complete \(size) \(describe(fields, bytes))")
            case .partial: return Verdict(text: "partial")
            case .malformed(let defect): return Verdict(text: "malformed", status: defect.status)
            }
        }
    }

    @Test(
        "what ends a section",
        arguments: [
            ("\r\n", "complete 2 "), ("\r\nGET", "complete 2 "),
            ("A: b\r\n\r\nrest", "complete 8 [other|A|b|0..<6]"),
            ("Expires: 0\r\nX_Y: z\r\n\r\n", "complete 22 [other|Expires|0|0..<12][underscore|X_Y|z|12..<20]"),
            ("", "partial"), ("\r", "partial"), ("A: b\r\n", "partial"), ("A: b\r\n\r", "partial"),
        ])
    func sections(_ text: String, _ expected: String) {
        #expect(trailers(text).text == expected)
    }

    @Test(
        "what is refused",
        arguments: ["\n", "A: b\n\n", "A b\r\n\r\n", " A: b\r\n\r\n", "A: b\r\n c\r\n\r\n", "\rX", "A: \u{0}"])
    func refused(_ text: String) {
        #expect(trailers(text).status == 400)
    }

    @Test("more than is allowed is a 400, not a 431")
    func limits() {
        let text = "A: bbbbbbbbbb\r\n\r\n"
        #expect(trailers(text, limits: HeadLimits(bytes: 17, fields: 1, emptyLines: 0)).isComplete)
        #expect(trailers(text, limits: HeadLimits(bytes: 16, fields: 1, emptyLines: 0)).status == 400)
        #expect(trailers("A: b\r\nA: b\r\n\r\n", limits: HeadLimits(bytes: 99, fields: 1, emptyLines: 0)).status == 400)
    }
}
