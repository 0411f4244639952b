import Testing

@testable import Wire

/// The PROXY protocol's two versions, whole, byte by byte and split anywhere.
@Suite struct ProxyHeaderTests {
    private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

    private static func v2(
        _ command: UInt8, _ family: UInt8, _ addresses: [UInt8], more: [UInt8] = [], length: Int? = nil
    ) -> [UInt8] {
        let length = length ?? addresses.count + more.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + addresses + more
    }

    private static let four: [UInt8] = [203, 0, 113, 7, 10, 0, 0, 1, 0xd4, 0x31, 0x01, 0xbb]
    private static let six: [UInt8] =
        [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [7]
        + [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [1] + [0xd4, 0x31, 0x01, 0xbb]
    private static let mapped: [UInt8] =
        [UInt8](repeating: 0, count: 10) + [0xff, 0xff, 203, 0, 113, 7] + [UInt8](repeating: 0, count: 15) + [1]
        + [0xd4, 0x31, 0x01, 0xbb]

    private static func line(_ text: String) -> [UInt8] { Array((text + "\r\n").utf8) }

    private func outcome(_ bytes: [UInt8]) -> String {
        feedEveryWay(bytes) { count, _ in
            switch ProxyHeader.parse(bytes.span.extracting(0..<count)) {
            case .partial: Verdict(text: "partial")
            case .malformed: Verdict(text: "malformed", status: 400)
            case .complete(let count, let source):
                Verdict(text: "complete \(count) \(source.map { "\($0)" } ?? "itself")")
            }
        }.text
    }

    /// Whatever follows belongs to the client: it changes nothing.
    @Test(
        arguments: [
            (line("PROXY TCP4 203.0.113.7 10.0.0.1 54321 443"), "203.0.113.7:54321"),
            (line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535"), "255.255.255.255:65535"),
            (line("PROXY TCP6 2001:db8::7 2001:db8::1 54321 443"), "[2001:db8::7]:54321"),
            (
                line(
                    "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535"
                ), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"
            ),
            // As nginx writes IPv4 clients of a dual-stack socket.
            (line("PROXY TCP6 ::ffff:203.0.113.7 ::ffff:10.0.0.1 54321 443"), "203.0.113.7:54321"),
            (line("PROXY TCP6 ::ffff:cb00:7107 ::1 54321 443"), "203.0.113.7:54321"),
            (line("PROXY TCP6 2001:db8::7 ::ffff:10.0.0.1 54321 443"), "[2001:db8::7]:54321"),
            (line("PROXY UNKNOWN"), "itself"),
            (line("PROXY UNKNOWN ffff::1 ffff::2 1 2"), "itself"),
            (v2(0x21, 0x11, four), "203.0.113.7:54321"),
            (v2(0x21, 0x11, four, more: [0x04, 0, 1, 0]), "203.0.113.7:54321"),
            (v2(0x21, 0x11, four, more: [UInt8](repeating: 4, count: 508)), "203.0.113.7:54321"),
            (v2(0x21, 0x21, six), "[2001:db8::7]:54321"),
            (v2(0x21, 0x21, mapped), "203.0.113.7:54321"),
            (v2(0x20, 0x00, []), "itself"),
            (v2(0x20, 0x11, four), "itself"),
            (v2(0x21, 0x00, []), "itself"),
            (v2(0x21, 0x00, [1, 2, 3]), "itself"),
        ] as [([UInt8], String)], [[], Array("\u{16}\u{3}\u{1}".utf8), [0x0a]] as [[UInt8]])
    func wellFormed(header: (bytes: [UInt8], source: String), more: [UInt8]) {
        #expect(outcome(header.bytes + more) == "complete \(header.bytes.count) \(header.source)")
    }

    @Test(
        arguments: [
            [0x16, 3, 1], [0], Array("GET / HTTP/1.1\r\n".utf8), Array("proxy TCP4".utf8),
            line("PROXY TCP4 203.0.113.7 10.0.0.1 54321"), line("PROXY TCP4 203.0.113.7 10.0.0.1 54321 443 1"),
            line("PROXY  TCP4 203.0.113.7 10.0.0.1 54321 443"), line("PROXY TCP4 203.0.113.7 10.0.0.1 54321 443 "),
            line("PROXY TCP5 203.0.113.7 10.0.0.1 54321 443"), line("PROXY UDP4 203.0.113.7 10.0.0.1 54321 443"),
            line("PROXY TCP4 2001:db8::7 2001:db8::1 54321 443"), line("PROXY TCP6 203.0.113.7 10.0.0.1 54321 443"),
            line("PROXY TCP4 ::ffff:203.0.113.7 ::ffff:10.0.0.1 54321 443"),
            line("PROXY TCP6 ::ffff:203.0.113.7 10.0.0.1 54321 443"),
            line("PROXY TCP4 203.0.113.7 2001:db8::1 54321 443"), line("PROXY TCP4 203.0.113.256 10.0.0.1 1 443"),
            line("PROXY TCP4 203.0.113.7 10.0.0.1 65536 443"), line("PROXY TCP4 203.0.113.7 10.0.0.1 1 65536"),
            line("PROXY TCP4 203.0.113.7 10.0.0.1 +1 443"), line("PROXY TCP4 203.0.113.7 10.0.0.1 -1 443"),
            line("PROXY TCP4 203.0.113.7 10.0.0.1  443"), line("PROXY TCP4 203.0.113.7 10.0.0.1 ٣ 443"),
            line("PROXY UNKNOWNX"), line("PROXY "), line("PROXY unknown"),
            Array("PROXY UNKNOWN\n".utf8), Array("PROXY TCP4 203.0.113.7 10.0.0.1 1 2\n".utf8),
            Array(("PROXY UNKNOWN " + String(repeating: "x", count: 93)).utf8),
            Array(("PROXY UNKNOWN " + String(repeating: "x", count: 200) + "\r\n").utf8),
            v2(0x22, 0x11, four), v2(0x11, 0x11, four), v2(0x31, 0x11, four), v2(0x21, 0x12, four), v2(0x21, 0x31, six),
            v2(0x21, 0x22, six), v2(0x21, 0x11, Array(four.dropLast())), v2(0x21, 0x21, four),
            v2(0x21, 0x11, four, length: 521), v2(0x21, 0x11, four, length: 65_535),
            [0x0d, 0x0a, 0x0d, 0x0a, 0, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0b],
        ] as [[UInt8]])
    func malformed(bytes: [UInt8]) { #expect(outcome(bytes) == "malformed") }

    @Test(
        arguments: [
            [], Array("P".utf8), Array("PROXY TCP4 203.0".utf8), Array("PROXY UNKNOWN\r".utf8), [0x0d], signature,
            v2(0x21, 0x11, Array(four.dropLast()), length: 12), v2(0x20, 0, [], length: 520),
            Array(("PROXY UNKNOWN " + String(repeating: "x", count: 92)).utf8),
        ] as [[UInt8]])
    func partial(bytes: [UInt8]) { #expect(outcome(bytes) == "partial") }

    /// The longest of each version ends at its limit and not one byte later.
    @Test func limits() {
        let text = "PROXY UNKNOWN " + String(repeating: "x", count: 91)
        #expect(outcome(Self.line(text)) == "complete 107 itself")
        #expect(outcome(Self.line(text + "x")) == "malformed")
        let greatest = Self.v2(0x20, 0, [UInt8](repeating: 0, count: ProxyHeader.limit - 16))
        #expect(outcome(greatest) == "complete 536 itself")
    }
}
