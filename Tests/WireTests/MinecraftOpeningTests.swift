import Testing

@testable import Wire

private func hex(_ text: String) -> [UInt8] {
    let digits = text.filter { !$0.isWhitespace }
    return stride(from: 0, to: digits.count, by: 2).map { at in
        let start = digits.index(digits.startIndex, offsetBy: at)
        return UInt8(digits[start..<digits.index(start, offsetBy: 2)], radix: 16)!
    }
}

private func varInt(_ value: Int32) -> [UInt8] {
    var rest = UInt32(bitPattern: value)
    var bytes: [UInt8] = []
    while rest > 0x7f {
        bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
        rest >>= 7
    }
    return bytes + [UInt8(truncatingIfNeeded: rest)]
}

private func handshake(_ version: Int32, _ host: [UInt8], _ port: UInt16 = 25565, next: Int32) -> [UInt8] {
    let body =
        [0] + varInt(version) + varInt(Int32(host.count)) + host + [UInt8(port >> 8), UInt8(port & 255)] + varInt(next)
    return varInt(Int32(body.count)) + body
}

private func opening(_ bytes: [UInt8]) -> Verdict {
    feedEveryWay(bytes) { count, _ in
        switch MinecraftOpening.parse(bytes.span.extracting(0..<count)) {
        case .partial, .partialLegacy: return Verdict(text: "partial")
        case .malformed: return Verdict(text: "malformed")
        case .oldLogin: return Verdict(text: "complete old login")
        case .legacy(let ping):
            return Verdict(
                text:
                    "complete legacy \(ping.byteCount) \(ping.hostRange.map { text(bytes, $0) } ?? "-") \(ping.isBeta)")
        case .handshake(let found):
            return Verdict(
                text: "complete \(found.protocolVersion) \(text(bytes, found.hostRange)) \(found.port) "
                    + "\(found.intent) \(found.byteCount)")
        }
    }
}

struct MinecraftOpeningTests {
    @Test func reads_the_worked_example() {
        let bytes = hex("14 00 ff05 0d 67313034322e6d632e74657374 63dd 02")
        #expect(opening(bytes).text == "complete 767 g1042.mc.test 25565 login 21")
    }

    @Test(arguments: [
        (Int32(47), Int32(1), "status"), (-1, 1, "status"), (775, 2, "login"), (0x4000_0100, 3, "transfer"),
        (.max, 2, "login"), (.min, 2, "login"),
    ])
    func any_protocol_number_and_each_intent(version: Int32, next: Int32, name: String) {
        let bytes = handshake(version, Array("a.b".utf8), next: next)
        #expect(opening(bytes).text == "complete \(version) a.b 25565 \(name) \(bytes.count)")
        // What follows belongs to the next packet.
        #expect(opening(bytes + [1, 0]).text == "complete \(version) a.b 25565 \(name) \(bytes.count)")
    }

    @Test func an_empty_host_is_the_smallest_handshake() {
        #expect(opening(hex("06 00 00 00 63dd 01")).text == "complete 0  25565 status 7")
    }

    @Test func longer_numbers_than_needed_are_taken() {
        #expect(opening(hex("8a 80 00 00 8000 8080 00 63dd 82 00")).text.hasPrefix("complete 0  25565 login"))
    }

    @Test func a_frame_of_254_bytes_is_no_legacy_ping() {
        let bytes = handshake(767, Array(repeating: 0x61, count: 246), next: 2)
        #expect(Array(bytes[0..<3]) == [0xfe, 0x01, 0x00])
        #expect(opening(bytes).isComplete)
    }

    @Test(arguments: [381, 382, 383, 1022, 1024])
    func frames_up_to_the_limit(length: Int) {
        let bytes = handshake(767, Array(repeating: 0x61, count: length - 8), next: 2)
        #expect(bytes.count == length + 2)
        #expect(opening(bytes).isComplete)
    }

    @Test(arguments: [
        "00", "01 00", "03 00", "05 00", "16 03 01", "47 45 54", "53 53 48", "ff ff ff ff", "80 80 80 00", "81 08 00",
        "808001", "ffff7f",
        // Negative and too long hosts, an intent of 0, 4 and -1, bytes behind the intent.
        "0b 00 2f ff ff ff ff 0f 63 dd 01 00", "09 00 2f 7f 61 61 61 63 dd 01", "07 00 2f 00 63 dd 00 00",
        "06 00 2f 00 63 dd 00", "06 00 2f 00 63 dd 04", "0a 00 2f 00 63 dd ff ff ff ff 0f",
        "07 00 2f 00 63 dd 01 00", "0d 0a 0d 0a 00 0d 0a 51", "50 52 4f 58 59 20", "fe 08 00", "fe 01 01",
        "fe 01 fa 01",
        // A version that does not end.
        "0a 00 ff ff ff ff ff 01 00 00 00",
    ])
    func what_is_not_minecraft(bytes: String) {
        #expect(opening(hex(bytes)).text == "malformed")
    }

    @Test(arguments: ["4745", "1603", "5353", "000000", "0100", "80808000"])
    func junk_is_known_by_its_second_byte_or_soon(bytes: String) {
        let all = hex(bytes)
        let seen = (1...all.count).first { MinecraftOpening.parse(all.span.extracting(0..<$0)) == .malformed }
        #expect(seen.map { $0 <= 3 } == true)
        if all[0] == 0x47 { #expect(seen == 2) }
        if all[0] < 2 { #expect(seen == 1) }
    }

    @Test func legacy_pings() {
        let host =
            "fe01fa000b004d0043007c00500069006e00670048006f007300740015 4a 0007 006d0063002e0074006500730074 000063dd"
        #expect(opening(hex(host)).text.hasPrefix("complete legacy"))
        #expect(opening(hex(host)).text.contains("\0m\0c\0.\0t\0e\0s\0t"))
        for (bytes, beta) in [("fe", true), ("fe01", false), ("fe01fa", false)] {
            guard case .partialLegacy(let ping) = MinecraftOpening.parse(hex(bytes).span) else {
                Issue.record("\(bytes)")
                continue
            }
            #expect(ping.isBeta == beta)
            #expect(ping.byteCount == hex(bytes).count)
        }
        // A host longer than what is announced.
        #expect(opening(hex("fe01fa000b004d0043007c00500069006e00670048006f007300740015 4a 0008")).text == "malformed")
        #expect(opening([2, 0x2f]).text == "complete old login")
    }

    @Test func names_for_the_look_up() {
        let cases: [(String, MinecraftHost)] = [
            ("play.example.com", .name("play.example.com")), ("PLAY.Example.com.", .name("play.example.com")),
            ("a.b\0FML\0", .name("a.b")), ("a.b.\0FML2\0", .name("a.b")), ("a.b\0FML3\0", .name("a.b")),
            ("a.b\0FORGE7", .name("a.b")), ("a.b///1.2.3.4:5///17///sig", .name("a.b")),
            ("10.0.0.1", .name("10.0.0.1")), ("fd00::1", .name("fd00::1")), ("[FD00::1]", .name("fd00::1")),
            ("under_score.x", .name("under_score.x")), ("", .none), (".", .none), ("a b", .none), ("ünï", .none),
            ("\0FML\0", .none), (String(repeating: "a", count: 253), .name(String(repeating: "a", count: 253))),
            (String(repeating: "a", count: 254), .none), (String(repeating: "a", count: 900), .none),
            ("a\0127.0.0.1\0069a79f444e94726a5befca90e38aaf5", .forged),
            ("a\0127.0.0.1\0069a79f444e94726a5befca90e38aaf5\0[]", .forged), ("a\0\0x", .forged),
            ("a\0x\0\0\0", .name("a")),
        ]
        for (raw, expected) in cases {
            let bytes = [9, 9] + Array(raw.utf8)
            #expect(MinecraftHost.read(bytes.span, 2..<bytes.count) == expected, "\(raw)")
        }
        let wide = Array("Mc.Test.".utf8).flatMap { [UInt8(0), $0] }
        #expect(MinecraftHost.readUTF16(wide.span, 0..<wide.count) == .name("mc.test"))
        let other: [UInt8] = [0x30, 0x42, 0, 0x61]
        #expect(MinecraftHost.readUTF16(other.span, 0..<4) == .none)
    }
}

struct MinecraftPacketTests {
    private func login(_ bytes: [UInt8]) -> Verdict {
        feedEveryWay(bytes) { count, _ in
            switch MinecraftLoginStart.parse(bytes.span.extracting(0..<count), from: 0) {
            case .partial: Verdict(text: "partial")
            case .malformed: Verdict(text: "malformed")
            case .complete(let start): Verdict(text: "complete \(text(bytes, start.nameRange)) \(start.end)")
            }
        }
    }

    @Test func login_starts_of_every_age() {
        #expect(login(hex("07 00 05 53 74 65 76 65")).text == "complete Steve 8")
        // 1.20.2 and later: name and UUID.
        #expect(login([23, 0, 5] + Array("Steve".utf8) + Array(repeating: 7, count: 16)).text == "complete Steve 24")
        // 1.19 with a key: much more behind the name.
        #expect(
            login([0x87, 7, 0, 5] + Array("Steve".utf8) + Array(repeating: 7, count: 896)).text == "complete Steve 905")
        // 16 characters of three bytes.
        #expect(login([50, 0, 48] + Array(String(repeating: "€", count: 16).utf8)).isComplete)
    }

    @Test(arguments: [
        "00", "02 00 00", "03 01 01 61", "03 00 00 61", "03 00 02 61", "81 08 00", "808001",
        "07 00 ff ff ff ff 0f 61", "13 00 11 61616161616161616161616161616161 61", "fe 01 fa",
    ])
    func what_is_no_login_start(bytes: String) {
        #expect(login(hex(bytes)).text == "malformed")
    }

    @Test func status_packets() {
        let cases: [(String, MinecraftStatusRequest)] = [
            ("01 00", .status(end: 2)), ("09 01 0102030405060708", .ping(payload: 2..<10)), ("01", .partial),
            ("09 01 01", .partial), ("01 01", .malformed), ("02 00 00", .malformed), ("0a 01", .malformed),
            ("00", .malformed),
            ("09 00", .malformed),
        ]
        for (bytes, expected) in cases { #expect(MinecraftStatusRequest.parse(hex(bytes).span, from: 0) == expected) }
    }

    @Test func status_answers() {
        let json = #"{"description":"x"}"#
        var out = ByteBuffer()
        MinecraftReply.appendStatus(json: Array(json.utf8).span, to: &out)
        let bytes = out.withReadable { $0.copied() }
        let verdict = feedEveryWay(bytes) { count, _ in
            switch MinecraftStatusResponse.parse(bytes.span.extracting(0..<count)) {
            case .partial: Verdict(text: "partial")
            case .malformed: Verdict(text: "malformed")
            case .complete(let range): Verdict(text: "complete \(text(bytes, range))")
            }
        }
        #expect(verdict.text == "complete \(json)")
        for bad in ["0400 7f 7b7d", "0401", "00", "05 00 ff ff ff ff 0f", "ffff7f 00"] {
            #expect(MinecraftStatusResponse.parse(hex(bad).span) == .malformed, "\(bad)")
        }
    }
}

struct MinecraftReplyTests {
    private func bytes(_ body: (inout ByteBuffer) -> Void) -> [UInt8] {
        var out = ByteBuffer()
        body(&out)
        return out.withReadable { $0.copied() }
    }

    @Test func a_kick_to_the_byte() {
        let json = MinecraftReply.component("Server is starting")
        #expect(json == #"{"text":"Server is starting"}"#)
        #expect(
            bytes { MinecraftReply.appendLoginDisconnect(json: json, to: &$0) } == [0x1f, 0x00, 0x1d] + Array(json.utf8)
        )
        #expect(MinecraftReply.component("a\"\\\n\u{1}é") == #"{"text":"a\"\\\n\u0001é"}"#)
        let long = String(repeating: "x", count: 300)
        #expect(
            Array(bytes { MinecraftReply.appendLoginDisconnect(json: long, to: &$0) }.prefix(5)) == [
                0xaf, 2, 0, 0xac, 2,
            ])
    }

    @Test func the_legacy_answer_to_the_byte() {
        let ping = MinecraftLegacyPing(byteCount: 2, hostRange: nil, isBeta: false)
        let answer = bytes {
            MinecraftReply.appendLegacyStatus(ping, version: "26.1", motd: "ZLH", online: 0, maximum: 20, to: &$0)
        }
        let expected =
            "ff0014 00a70031 0000 003100320037 0000 00320036002e0031 0000 005a004c0048 0000 0030 0000 00320030"
        #expect(answer == hex(expected))
        let beta = MinecraftLegacyPing(byteCount: 1, hostRange: nil, isBeta: true)
        let old = bytes {
            MinecraftReply.appendLegacyStatus(beta, version: "", motd: "§aA\nB", online: 1, maximum: 2, to: &$0)
        }
        #expect(old == [0xff, 0, 8] + Array("aA B§1§2".utf16).flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] })
    }

    @Test func a_pong_and_a_request() {
        let ping = hex("09 01 0102030405060708")
        #expect(bytes { MinecraftReply.appendPong(ping.span, 2..<10, to: &$0) } == ping)
        let request = bytes { MinecraftReply.appendStatusRequest(protocolVersion: -1, host: "h", port: 25565, to: &$0) }
        #expect(request == hex("0b 00 ffffffff0f 01 68 63dd 01 0100"))
    }

    @Test func proxy_headers_to_the_byte_and_back() {
        let cases: [(String, String)] = [
            ("127.0.0.1:41536", "127.0.0.1:25701"), ("[fd00::1]:1", "[fd00::2]:65535"), ("10.1.2.3:9", "[fd00::2]:7"),
        ]
        for (source, destination) in cases {
            let (from, to) = (Endpoint(source)!, Endpoint(destination)!)
            let v1 = bytes { ProxyHeader.appendV1(source: from, destination: to, to: &$0) }
            let v2 = bytes { ProxyHeader.appendV2(source: from, destination: to, to: &$0) }
            #expect(ProxyHeader.parse(v1.span) == .complete(count: v1.count, source: from))
            #expect(ProxyHeader.parse(v2.span) == .complete(count: v2.count, source: from))
        }
        let seen = bytes {
            ProxyHeader.appendV2(
                source: Endpoint("127.0.0.1:41536")!, destination: Endpoint("127.0.0.1:25701")!, to: &$0)
        }
        #expect(seen == hex("0d0a0d0a000d0a515549540a 21 11 000c 7f000001 7f000001 a240 6465"))
    }
}

struct MinecraftStatusTests {
    private func scan(_ json: String) -> MinecraftStatus? { MinecraftStatus(Array(json.utf8).span) }

    @Test func members_are_found_and_replaced() throws {
        let json =
            #"{ "players":{"online":3,"max":20,"sample":[{"name":"protocol"}]},"#
            + #""description":{"text":"a\"}","extra":[{"text":"b"}]} ,"version":{"name":"Paper 1.21","protocol": 767},"x":[]}"#
        let bytes = Array(json.utf8)
        let status = try #require(scan(json))
        #expect(status.number(bytes.span, status.onlineRange) == 3)
        #expect(status.number(bytes.span, status.maximumRange) == 20)
        #expect(status.plainText(bytes.span, status.versionNameRange) == "Paper 1.21")
        #expect(status.plainText(bytes.span, status.descriptionRange) == "a\"}b")
        var out = ByteBuffer()
        status.append(bytes.span, protocolVersion: -1, description: #""d""#, to: &out)
        let changed = out.withReadable { $0.text() }
        #expect(changed.contains(#""protocol": -1}"#) && changed.contains(#""description":"d" ,"version""#))
        var same = ByteBuffer()
        status.append(bytes.span, to: &same)
        #expect(same.withReadable { $0.copied() } == bytes)
    }

    @Test func escapes_of_a_description() throws {
        let json = #"{"description":"\u00a7aHi \ud83d\ude00\n\/"}"#
        let status = try #require(scan(json))
        #expect(status.plainText(Array(json.utf8).span, status.descriptionRange) == "§aHi 😀\n/")
    }

    @Test(arguments: [
        "", "[]", "{", #"{"a"}"#, #"{"a":}"#, #"{"a":1"#, #"{"a":"\"#, #"{"a":{]"#, "{\"version\":{", "nul",
        #"{"a":1]"#,
    ])
    func what_is_no_object(json: String) {
        #expect(scan(json) == nil)
    }

    @Test func depth_and_rubbish_trap_nothing() {
        let deep = #"{"description":"# + String(repeating: "[", count: 100_000)
        #expect(scan(deep) == nil)
        var random = SystemRandomNumberGenerator()
        let alphabet = Array(#"{}[]":,\ux1 description version protocol players online max text"#.utf8)
        for _ in 0..<20_000 {
            let count = Int.random(in: 1...60, using: &random)
            let bytes = [UInt8(ascii: "{")] + (0..<count).map { _ in alphabet.randomElement(using: &random)! }
            guard let status = MinecraftStatus(bytes.span) else { continue }
            var out = ByteBuffer()
            status.append(bytes.span, protocolVersion: 1, description: "1", to: &out)
            _ = status.plainText(bytes.span, status.descriptionRange)
            _ = status.number(bytes.span, status.onlineRange)
        }
    }

    @Test func random_openings_trap_nothing_and_splits_agree() {
        var random = SystemRandomNumberGenerator()
        let base = handshake(767, Array("a.b\0FML\0".utf8), next: 2)
        for _ in 0..<20_000 {
            var bytes = base
            for _ in 0..<Int.random(in: 1...3, using: &random) {
                bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
            }
            let whole = MinecraftOpening.parse(bytes.span)
            for count in 0..<bytes.count {
                let part = MinecraftOpening.parse(bytes.span.extracting(0..<count))
                switch part {
                case .partial, .partialLegacy: continue
                default: #expect(part == whole)
                }
                break
            }
            if case .handshake(let found) = whole { _ = MinecraftHost.read(bytes.span, found.hostRange) }
        }
    }
}
