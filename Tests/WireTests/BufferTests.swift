import Testing

@testable import Wire

private func bytes(_ buffer: borrowing ByteBuffer) -> [UInt8] {
    buffer.withReadable { span in (0..<span.count).map { span[$0] } }
}

@Suite("byte buffers")
struct ByteBufferTests {
    @Test("appending and consuming")
    func appending() {
        var buffer = ByteBuffer()
        #expect(buffer.isEmpty && buffer.capacity == 0)
        buffer.append("head ")
        buffer.append(decimal: 0)
        buffer.append(decimal: .max)
        buffer.append(UInt8(ascii: " "))
        buffer.append(hex: 0)
        buffer.append(hex: 0xbeef)
        buffer.append(text: " é")
        let more = Array(" more!".utf8)
        buffer.append(more.span, 0..<5)
        buffer.append(more.span.extracting(0..<0))
        buffer.append("")
        #expect(string(buffer) == "head 018446744073709551615 0beef é more")
        buffer.consume(5)
        buffer.dropLast(5)
        #expect(string(buffer) == "018446744073709551615 0beef é")
        buffer.consume(buffer.count)
        #expect(buffer.isEmpty && buffer.room == buffer.capacity)
    }

    @Test(
        "hexadecimal",
        arguments: [
            (UInt64(0), "0"), (0xf, "f"), (0x10, "10"), (0xbeef, "beef"), (1 << 60, "1000000000000000"),
            (0x0fed_cba9_8765_4321, "fedcba987654321"), (.max, "ffffffffffffffff"),
        ])
    func hex(_ value: UInt64, _ expected: String) {
        var buffer = ByteBuffer()
        buffer.append("=")
        buffer.append(hex: value)
        #expect(string(buffer) == "=" + expected)
        var padded = ByteBuffer(capacity: 20)
        padded.append("0123456789")
        padded.append(hex16: value)
        #expect(string(padded) == "0123456789" + String(repeating: "0", count: 16 - expected.utf8.count) + expected)
    }

    @Test("growing keeps the bytes", arguments: [1, 255, 256, 257, 10_000])
    func growing(_ count: Int) {
        var buffer = ByteBuffer()
        let all = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        for byte in all { buffer.append(byte) }
        #expect(bytes(buffer) == all)
        buffer.consume(count / 2)
        buffer.reserve(buffer.capacity)
        #expect(bytes(buffer) == Array(all[(count / 2)...]))
    }

    @Test("room is made by moving before growing")
    func moving() {
        var buffer = ByteBuffer(capacity: 16)
        buffer.append("0123456789abcdef")
        buffer.consume(10)
        buffer.reserve(10)
        #expect(buffer.capacity == 16)
        #expect(string(buffer) == "abcdef")
        #expect(buffer.room == 10)
    }

    @Test("lending space")
    func lending() {
        var buffer = ByteBuffer(capacity: 8)
        buffer.append("ab")
        buffer.withWritable { output in
            output.append(UInt8(ascii: "c"))
            output.append(UInt8(ascii: "d"))
        }
        #expect(string(buffer) == "abcd")
        struct Refused: Error {}
        do throws(Refused) {
            try buffer.withWritable { output throws(Refused) in
                output.append(UInt8(ascii: "e"))
                throw Refused()
            }
            Issue.record("not thrown")
        } catch {
            #expect(buffer.count >= 4)
        }
        var empty = ByteBuffer()
        let counts = empty.withWritable { output in output.freeCapacity }
        #expect(counts == 0)
        let nothing = empty.withReadable { $0.count }
        #expect(nothing == 0)
    }

    @Test("consuming what is not there traps")
    func trap() async {
        await #expect(processExitsWith: .failure) {
            var buffer = ByteBuffer()
            buffer.append("ab")
            buffer.consume(3)
        }
    }
}

@Suite("block pools")
struct BlockPoolTests {
    @Test(
        "sizes",
        arguments: [
            (1, BlockPool.small), (BlockPool.small, BlockPool.small), (BlockPool.small + 1, BlockPool.medium),
            (BlockPool.medium + 1, BlockPool.large), (BlockPool.large + 1, BlockPool.large + 1),
        ])
    func sizes(_ count: Int, _ size: Int) {
        let pool = BlockPool()
        var buffer = ByteBuffer()
        buffer.reserve(count, from: pool)
        #expect(buffer.capacity == size)
        buffer.recycle(into: pool)
        #expect(buffer.capacity == 0)
    }

    @Test("bytes survive the move to a larger block")
    func moving() {
        let pool = BlockPool()
        var buffer = ByteBuffer()
        buffer.append("0123456789")
        buffer.consume(3)
        buffer.reserve(100_000, from: pool)
        #expect(buffer.capacity == BlockPool.large)
        #expect(string(buffer) == "3456789")
    }

    @Test("a small remainder leaves its block, a large one stays")
    func remainder() {
        let pool = BlockPool()
        var buffer = ByteBuffer()
        buffer.reserve(BlockPool.small, from: pool)
        buffer.append("abc")
        buffer.recycle(into: pool)
        #expect(buffer.capacity < 256)
        #expect(string(buffer) == "abc")
        let much = [UInt8](repeating: 7, count: BlockPool.small / 2)
        buffer.reserve(much.count, from: pool)
        buffer.append(much.span)
        buffer.recycle(into: pool)
        #expect(buffer.capacity == BlockPool.small)
        #expect(buffer.count == much.count + 3)
    }

    @Test("a block is used again, and no more than allowed are kept")
    func reuse() {
        let pool = BlockPool(keepSmall: 1, keepMedium: 0, keepLarge: 0)
        var one = ByteBuffer()
        var two = ByteBuffer()
        for _ in 0..<3 {
            one.reserve(10, from: pool)
            two.reserve(10, from: pool)
            one.append("x")
            two.append("y")
            one.consume(1)
            two.consume(1)
            one.recycle(into: pool)
            two.recycle(into: pool)
        }
        #expect(one.capacity == 0 && two.capacity == 0)
    }
}

@Suite("addresses")
struct AddressTests {
    @Test(
        "text there and back",
        arguments: [
            ("10.60.11.1", "10.60.11.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"),
            ("::1", "::1"),
            ("FD00::11:2", "fd00::11:2"), ("fd00:0:0:1::", "fd00:0:0:1::"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("::ffff:a00:1", "10.0.0.1"), ("64:ff9b::1.2.3.4", "64:ff9b::102:304"), ("1::8", "1::8"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ])
    func text(_ text: String, _ expected: String) {
        let address = IPAddress(text)
        #expect(address?.description == expected)
        #expect(IPAddress(expected) == address)
    }

    @Test(
        "what is no address",
        arguments: [
            "", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.04", "1..2.3", "1.2.3.4 ", " 1.2.3.4",
            "1.2.3.-4", "+1.2.3.4",
            "a.b.c.d", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1::2::3", "12345::", "g::", "::1%eth0",
            "[::1]", "::1.2.3",
            "1.2.3.4::", "::1.2.3.4:5", "1:", ":1", "1:2:3:4:5:6:7::8", "-1::", "+1::", "::256.1.1.1", "-0::", "::-0",
            "1:-1::", "1:2:3:4:5:6:7:1.2.3.4", "１.2.3.4",
            "::é", "0x7f.0.0.1", "127.1",
        ])
    func refused(_ text: String) {
        #expect(IPAddress(text) == nil, "\(IPAddress(text)?.description ?? "")")
    }

    @Test("kinds")
    func kinds() {
        #expect(IPAddress("127.9.9.9")?.isLoopback == true)
        #expect(IPAddress("::ffff:127.0.0.1")?.isLoopback == true)
        #expect(IPAddress("::1")?.isLoopback == true)
        #expect(IPAddress("128.0.0.1")?.isLoopback == false)
        #expect(IPAddress("0.0.0.0")?.isUnspecified == true)
        #expect(IPAddress("::")?.isUnspecified == true)
        #expect(IPAddress("::2")?.isUnspecified == false)
    }

    @Test(
        "blocks",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.1", false), ("10.1.2.3/8", "10.9.9.9", true),
            ("10.0.0.0/8", "::a00:1", false), ("10.0.0.0/8", "::ffff:10.0.0.1", true), ("fc00::/7", "fd00::1", true),
            ("fc00::/7", "fe80::1", false),
            ("fc00::/7", "10.0.0.1", false), ("0.0.0.0/0", "1.2.3.4", true), ("0.0.0.0/0", "::1", false),
            ("::/0", "fd00::1", true),
            ("::/0", "1.2.3.4", false), ("1.2.3.4", "1.2.3.4", true), ("1.2.3.4", "1.2.3.5", false),
            ("1.2.3.4/32", "1.2.3.4", true),
            ("192.168.0.0/31", "192.168.0.1", true), ("fd00::/128", "fd00::1", false),
            ("2001:db8::/64", "2001:db8::ffff:0:0:1", true),
        ])
    func blocks(_ block: String, _ address: String, _ expected: Bool) throws {
        let cidr = try #require(CIDR(block))
        let inside = try #require(IPAddress(address))
        #expect(cidr.contains(inside) == expected)
    }

    @Test(
        "what is no block",
        arguments: [
            "", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/-0", "10.0.0.0/+8", "::/129", "10.0.0.0/8/8",
            "10.0.0.0/ 8", "10/8",
        ])
    func noBlocks(_ text: String) {
        #expect(CIDR(text) == nil)
    }

    @Test(
        "endpoints",
        arguments: [
            ("1.2.3.4:80", true), ("[::1]:80", true), ("0.0.0.0:0", true), ("[fd00::1]:65535", true),
            ("", false), ("1.2.3.4", false), (":80", false), ("::1:80", false), ("[::1]", false), ("[::1]80", false),
            ("1.2.3.4:", false),
            ("1.2.3.4:65536", false), ("1.2.3.4:+80", false), ("[1.2.3.4]:80", false), ("1.2.3.4:123456", false),
            ("[::1:80", false), ("host:80", false),
        ])
    func endpoints(_ text: String, _ isOne: Bool) {
        let endpoint = Endpoint(text)
        #expect((endpoint != nil) == isOne)
        if let endpoint { #expect(Endpoint(endpoint.description) == endpoint) }
    }
}
