import Compression
import Testing
import Wire

/// The streams that a loop keeps.
@Suite struct GzipPoolTests {
    @Test func keepsAFew() throws {
        let pool = GzipPool(limit: 3, keeps: 2)
        let streams = try (0..<3).map { _ in try #require(pool.take()) }
        #expect(pool.take() == nil, "more than may work at once")
        #expect(pool.taken == 3)
        for stream in streams { pool.give(stream) }
        #expect(pool.taken == 0)
        #expect(pool.idleCount == 2)
        let again = try #require(pool.take())
        #expect(streams.contains { $0 === again })
        pool.give(again)
        pool.trim()
        #expect(pool.idleCount == 0)
    }

    @Test func whatComesBackIsAsNew() throws {
        let pool = GzipPool(limit: 1, keeps: 1)
        let bytes = Content.words.bytes(9000)
        var outputs: [[UInt8]] = []
        for flush in [GzipStream.Flush.finish, .none, .sync, .finish] {
            let stream = try #require(pool.take())
            var output = ByteBuffer()
            stream.compress(bytes.span, into: &output, flush: flush)
            if flush == .finish { outputs.append(output.withReadable { $0.copied() }) }
            pool.give(stream)
        }
        #expect(outputs.count == 2 && outputs[0] == outputs[1])
    }

    @Test func mayKeepNone() throws {
        let pool = GzipPool(limit: 1, keeps: 0)
        pool.give(try #require(pool.take()))
        #expect(pool.idleCount == 0)
        #expect(GzipPool(limit: 0, keeps: 1).take() == nil)
    }
}
