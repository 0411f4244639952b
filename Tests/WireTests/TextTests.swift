import Testing
import Wire

@Suite("dates")
struct TextTests {
    @Test(
        "IMF-fixdate",
        arguments: [
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"), (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"), (1_709_251_199, "Thu, 29 Feb 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"), (253_402_300_799, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (-1, "Thu, 01 Jan 1970 00:00:00 GMT"), (Int64.max, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (.min, "Thu, 01 Jan 1970 00:00:00 GMT"),
        ])
    func httpDate(_ seconds: Int64, _ expected: String) {
        var output = ByteBuffer()
        HTTPDate.append(epochSeconds: seconds, to: &output)
        #expect(string(output) == expected)
    }

    @Test(
        "RFC 3339 with milliseconds",
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (1_795_255_200_007, "2026-11-21T10:00:00.007Z"),
            (999, "1970-01-01T00:00:00.999Z"),
            (Int64.max, "9999-12-31T23:59:59.999Z"), (.min, "1970-01-01T00:00:00.000Z"),
        ])
    func rfc3339(_ milliseconds: Int64, _ expected: String) {
        var output = ByteBuffer()
        RFC3339.append(epochMilliseconds: milliseconds, to: &output)
        #expect(string(output) == expected)
        #expect(RFC3339.parse(expected) == min(max(milliseconds, 0), 253_402_300_799_999) / 1000)
    }

    @Test(
        "parsing",
        arguments: [
            ("2026-11-21T10:00:00Z", 1_795_255_200), ("2026-11-21t10:00:00.123456z", 1_795_255_200),
            ("2026-11-21 11:30:00+01:30", 1_795_255_200), ("2026-11-21T02:00:00-08:00", 1_795_255_200),
            ("2024-02-29T00:00:00Z", 1_709_164_800), ("2016-12-31T23:59:60Z", 1_483_228_800),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("", nil), ("2026-11-21", nil), ("2026-11-21T10:00:00", nil), ("2026-11-21T10:00Z", nil),
            ("2026-13-01T00:00:00Z", nil),
            ("2026-00-01T00:00:00Z", nil), ("2026-02-29T00:00:00Z", nil), ("2026-04-31T00:00:00Z", nil),
            ("2026-01-00T00:00:00Z", nil),
            ("2026-01-32T00:00:00Z", nil), ("2026-01-01T24:00:00Z", nil), ("2026-01-01T00:60:00Z", nil),
            ("2026-01-01T00:00:61Z", nil),
            ("2026-01-01T00:00:00.Z", nil), ("2026-01-01T00:00:00+24:00", nil), ("2026-01-01T00:00:00+0100", nil),
            ("2026-01-01T00:00:00ZZ", nil), ("+026-01-01T00:00:00Z", nil), ("2026-1-01T00:00:00Z", nil),
            ("2026-01-01T00:00:00é", nil),
        ])
    func parse(_ text: String, _ expected: Int64?) {
        #expect(RFC3339.parse(text) == expected)
    }

    @Test("every day of four centuries comes back")
    func calendar() {
        var output = ByteBuffer()
        for day in stride(from: Int64(0), to: 146_097, by: 13) {
            output.removeAll()
            RFC3339.append(epochMilliseconds: day * 86_400_000, to: &output)
            guard RFC3339.parse(string(output)) == day * 86_400 else {
                Issue.record("day \(day)")
                return
            }
        }
    }
}
