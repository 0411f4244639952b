import Compression
import Testing
import Wire

/// A gzip stream against zlib's inflate.
@Suite struct GzipStreamTests {
    private static let sizes = [0, 1, 1023, 1024, 70_000, 1 << 20]

    @Test(arguments: sizes, Content.allCases)
    func roundTripInOnePiece(size: Int, content: Content) throws {
        let stream = try #require(GzipStream())
        let bytes = content.bytes(size)
        var output = ByteBuffer()
        stream.compress(bytes.span, into: &output, flush: .finish)
        #expect(stream.isFinished)
        #expect(decoded(output) == Decoded(bytes: bytes, isWhole: true))
        // Stored blocks bound what cannot be compressed.
        #expect(output.count <= size + size / 1000 + 64)
        if content != .noise, size >= 1023 { #expect(output.count < size) }
    }

    @Test(arguments: sizes, Content.allCases)
    func roundTripInPieces(size: Int, content: Content) throws {
        let stream = try #require(GzipStream())
        let bytes = content.bytes(size)
        var numbers = Numbers(seed: 7)
        var output = ByteBuffer()
        var at = 0
        while at < bytes.count {
            let count = min([0, 1, 2, 100, 4096, 30_000][numbers.next(below: 6)], bytes.count - at)
            let flush: GzipStream.Flush = numbers.next(below: 5) == 0 ? .sync : .none
            stream.compress(bytes.span.extracting(at..<at + count), into: &output, flush: flush)
            at += count
        }
        stream.compress(Span(), into: &output, flush: .finish)
        #expect(decoded(output) == Decoded(bytes: bytes, isWhole: true))
    }

    /// Byte by byte into a buffer that always has little room, so that each step of the output is a short one.
    @Test func littleRoom() throws {
        let stream = try #require(GzipStream())
        let bytes = Content.noise.bytes(3000)
        var output = ByteBuffer(capacity: 70)
        var all = ByteBuffer()
        for at in bytes.indices {
            stream.compress(bytes.span.extracting(at..<at + 1), into: &output, flush: at % 3 == 0 ? .sync : .none)
            output.withReadable { all.append($0) }
            output.removeAll()
        }
        stream.compress(Span(), into: &all, flush: .finish)
        #expect(decoded(all) == Decoded(bytes: bytes, isWhole: true))
    }

    @Test(arguments: Content.allCases)
    func aSyncFlushHoldsNothingBack(content: Content) throws {
        let stream = try #require(GzipStream())
        let bytes = content.bytes(100_000)
        var output = ByteBuffer()
        var fed = 0
        for count in [1, 10, 1000, 16_384, 1, 60_000] {
            stream.compress(bytes.span.extracting(fed..<fed + count), into: &output, flush: .sync)
            fed += count
            #expect(decoded(output) == Decoded(bytes: Array(bytes[..<fed]), isWhole: false))
        }
        // Another one without bytes adds nothing.
        let before = output.count
        stream.compress(Span(), into: &output, flush: .sync)
        #expect(output.count == before)
    }

    /// Without a flush bytes wait for more: what makes the flush necessary.
    @Test func withoutAFlushBytesWait() throws {
        let stream = try #require(GzipStream())
        var output = ByteBuffer()
        stream.compress(Content.words.bytes(500).span, into: &output)
        #expect(decoded(output) == Decoded())
    }

    @Test func resetGivesTheSameBytes() throws {
        let bytes = Content.words.bytes(50_000)
        let fresh = try #require(GzipStream())
        var expected = ByteBuffer()
        fresh.compress(bytes.span, into: &expected, flush: .finish)

        let used = try #require(GzipStream())
        var other = ByteBuffer()
        // Once left in the middle, once at its end.
        used.compress(Content.noise.bytes(90_001).span, into: &other)
        for _ in 0..<2 {
            used.reset()
            #expect(!used.isFinished)
            var again = ByteBuffer()
            used.compress(bytes.span, into: &again, flush: .finish)
            #expect(copy(again) == copy(expected))
        }
    }

    @Test(arguments: Content.allCases)
    func memoryIsBounded(content: Content) throws {
        let stream = try #require(GzipStream())
        let held = stream.heldBytes
        #expect((100_000...140_000).contains(held))
        let bytes = content.bytes(1 << 20)
        var output = ByteBuffer()
        for start in stride(from: 0, to: bytes.count, by: 16_384) {
            stream.compress(bytes.span.extracting(start..<start + 16_384), into: &output)
            #expect(output.count <= 16_384 + 40_000)
            output.removeAll()
            #expect(stream.heldBytes == held)
        }
        stream.reset()
        #expect(stream.heldBytes == held)
    }

    /// The gzip head says nothing of when or by whom (RFC 1952 section 2.3).
    @Test(arguments: [-5, 1, 4, 9, 99])
    func anyLevel(level: Int) throws {
        let stream = try #require(GzipStream(level: level))
        var output = ByteBuffer()
        stream.compress(Content.words.bytes(5000).span, into: &output, flush: .finish)
        #expect(decoded(output) == Decoded(bytes: Content.words.bytes(5000), isWhole: true))
        #expect(Array(copy(output).prefix(8)) == [0x1f, 0x8b, 8, 0, 0, 0, 0, 0])
    }

    private func copy(_ buffer: borrowing ByteBuffer) -> [UInt8] { buffer.withReadable { $0.copied() } }
}
