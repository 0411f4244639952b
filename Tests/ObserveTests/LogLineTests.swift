import Observe
import Testing
import Wire

@Suite struct LogLineTests {
    @Test func aLineIsOneObject() throws {
        let line = bytes {
            $0.beginLog(.info, "request", epochMs: 1_795_255_200_123)
            $0.field("request_id", hex: 0x0123_4567_89ab_cdef, 0xf)
            $0.field("client", IPAddress(ipv4: 0xc000_0201))
            $0.field("vmid", 1101)
            $0.field("user", text: "alice \"the\" admin")
            $0.field("method", "GET")
            $0.field("path", Array("/a\nb".utf8).span)
            $0.field("bytes_out", UInt64.max)
            $0.field("least", Int.min)
            $0.field("ms", microseconds: 12_045)
            $0.field("upstream_ms", microseconds: -7)
            $0.field("resumed", true)
            $0.endLog()
        }
        #expect(
            String(decoding: line, as: UTF8.self) == """
                {"ts":"2026-11-21T10:00:00.123Z","level":"info","event":"request",\
                "request_id":"0123456789abcdef000000000000000f","client":"192.0.2.1","vmid":1101,\
                "user":"alice \\"the\\" admin","method":"GET","path":"/a\\nb","bytes_out":18446744073709551615,\
                "least":-9223372036854775808,"ms":12.045,"upstream_ms":-0.007,"resumed":true}

                """)
        #expect(try parse(line)["path"] == .text("/a\nb"))
    }

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1970-01-01T00:00:00.000Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"), (951_868_800_001, "2000-03-01T00:00:00.001Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00.000Z"), (1_735_689_599_000, "2024-12-31T23:59:59.000Z"),
            (1_735_689_600_000, "2025-01-01T00:00:00.000Z"), (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"), (.max, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func timesAreRFC3339(_ epochMs: Int64, _ expected: String) throws {
        let line = bytes {
            $0.beginLog(.debug, "e", epochMs: epochMs)
            $0.endLog()
        }
        #expect(try parse(line)["ts"] == .text(expected))
    }

    @Test(arguments: LogLevel.allCases) func levelsHaveNames(_ level: LogLevel) throws {
        let line = bytes {
            $0.beginLog(level, "e", epochMs: 0)
            $0.endLog()
        }
        #expect(try parse(line)["level"] == .text(level.label.description))
        #expect(LogLevel(name: level.label.description) == level)
        #expect(LogLevel(name: "loud") == nil && LogLevel(name: "warn") == .warning)
    }

    @Test func addressesAreWrittenAsTheyDescribeThemselves() throws {
        var random = SystemRandomNumberGenerator()
        let groups: [UInt64] = [0, 0, 0, 1, 0xa, 0xffff, 0x2001, 0xdb8]
        for turn in 0..<2000 {
            var halves: [UInt64] = [0, 0]
            for place in 0..<8 { halves[place / 4] = halves[place / 4] << 16 | groups.randomElement(using: &random)! }
            let address =
                turn % 9 == 0 ? IPAddress(ipv4: .random(in: 0 ... .max)) : IPAddress(high: halves[0], low: halves[1])
            #expect(text { $0.field("a", address) } == ",\"a\":\"\(address.description)\"")
        }
    }
}
