import Limits
import Testing

@testable import Config

@Suite struct QuantityTests {
    @Test(
        arguments: [
            ("0", 0), ("256", 256), ("1k", 1024), ("32K", 32768), ("1m", 1 << 20), ("2g", 2 << 30),
            ("", nil), ("k", nil), ("-1", nil), ("+1", nil), ("1.5k", nil), ("1 k", nil), ("1kb", nil), ("0x10", nil),
            ("9999999999999999999", nil), ("9999999999999999k", nil), ("٣", nil),
        ] as [(String, Int?)])
    func bytes(text: String, expected: Int?) { #expect(Quantity.bytes(text) == expected) }

    @Test(
        arguments: [
            ("0", 0), ("250ms", 250), ("10s", 10_000), ("5m", 300_000), ("12h", 43_200_000), ("0s", 0),
            ("10", nil), ("s", nil), ("", nil), ("-5s", nil), ("1.5s", nil), ("1d", nil), ("1 s", nil), ("1m30s", nil),
            ("999999999999999999h", nil), ("１s", nil),
        ] as [(String, Int?)])
    func milliseconds(text: String, expected: Int?) { #expect(Quantity.milliseconds(text) == expected) }

    @Test(
        arguments: [
            ("100/s", Rate(count: 100)), ("1000/10s", Rate(count: 1000, perSeconds: 10)),
            ("30/m", Rate(count: 30, perSeconds: 60)), ("1/500ms", Rate(count: 1, perSeconds: 0.5)),
            ("0/s", Rate(count: 0)), ("10", nil), ("/s", nil), ("10/", nil), ("10/0s", nil), ("10/s/s", nil),
            ("-1/s", nil),
            ("10/10", nil),
        ] as [(String, Rate?)])
    func rates(text: String, expected: Rate?) { #expect(Quantity.rate(text) == expected) }

    @Test(
        arguments: [("50%", 0.5), ("0%", 0), ("100%", 1), ("101%", nil), ("0.5", nil), ("%", nil), ("-1%", nil)]
            as [(String, Double?)])
    func shares(text: String, expected: Double?) { #expect(Quantity.percent(text) == expected) }
}

@Suite struct TimestampTests {
    @Test(
        arguments: [
            ("1970-01-01T00:00:00Z", 0), ("2026-11-21T10:00:00Z", 1_795_255_200), ("2000-02-29T23:59:59z", 951_868_799),
            ("2026-11-21 10:00:00Z", 1_795_255_200), ("2026-11-21T10:00:00+01:30", 1_795_249_800),
            ("2026-11-21T10:00:00-00:30", 1_795_257_000), ("2026-11-21T10:00:00.000Z", 1_795_255_200),
            ("2026-11-21T10:00:00.001Z", 1_795_255_201), ("1969-12-31T23:59:59Z", -1),
            ("9999-12-31T23:59:60Z", 253_402_300_800),
            ("0001-01-01T00:00:00Z", -62_135_596_800), ("1795255200", 1_795_255_200),
            ("", nil), ("2026-11-21", nil), ("2026-11-21T10:00:00", nil), ("2026-13-01T10:00:00Z", nil),
            ("2026-02-29T10:00:00Z", nil), ("2026-11-21T24:00:00Z", nil), ("2026-11-21T10:60:00Z", nil),
            ("2026-11-21T10:00:00.Z", nil), ("2026-11-21T10:00:00+0130", nil), ("2026-11-21T10:00:00Zx", nil),
            ("2026-11-21T10:00:00+24:00", nil), ("+026-11-21T10:00:00Z", nil), ("2100-02-29T10:00:00Z", nil),
            ("-1", nil), ("2026-11-21T10:00:00.5", nil), ("0000-01-01T00:00:00Z", nil),
        ] as [(String, Int64?)])
    func seconds(text: String, expected: Int64?) { #expect(Timestamp.seconds(text) == expected) }
}
