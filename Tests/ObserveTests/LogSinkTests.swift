import Glibc
import Testing
import Wire

@testable import Observe

/// A pipe whose reading end the test holds.
struct Pipe {
    let reader: Int32
    let writer: Int32

    init(nonBlocking: Bool = false) {
        var ends: [Int32] = [0, 0]
        _ = unsafe Glibc.pipe(&ends)
        reader = ends[0]
        writer = ends[1]
        if nonBlocking { _ = fcntl(writer, F_SETFL, O_NONBLOCK) }
    }

    /// Whether something is to be read within five seconds.
    func hasBytes() -> Bool {
        var wait = pollfd(fd: reader, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&wait, 1, 5000) == 1
    }

    /// What is there now.
    func readSome() -> [UInt8] {
        var part = [UInt8](repeating: 0, count: 65536)
        return Array(part[..<max(unsafe read(reader, &part, part.count), 0)])
    }

    /// Everything until the writing end is closed.
    func readAll() -> [UInt8] {
        var (all, part) = ([UInt8](), [UInt8](repeating: 0, count: 65536))
        while true {
            let count = unsafe read(reader, &part, part.count)
            if count <= 0 { return all }
            all += part[..<count]
        }
    }
}

@Suite struct LogSinkTests {
    static func line(_ worker: Int, _ number: Int, padding: Int = 0) -> [UInt8] {
        Array("{\"worker\":\(worker),\"number\":\(number)\(String(repeating: " ", count: padding))}\n".utf8)
    }

    @Test(.timeLimit(.minutes(1))) func writesEveryLineInOrder() throws {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer)
        for number in 0..<1000 { sink.submit(Self.line(0, number).span) }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        #expect(pipe.readAll() == (0..<1000).flatMap { Self.line(0, $0) })
        #expect(sink.dropped == 0)
        sink.submit(Self.line(0, 1).span)
        #expect(sink.dropped == 1)
        close(pipe.reader)
    }

    @Test(.timeLimit(.minutes(1)), arguments: [false, true])
    func aReaderThatDoesNotReadNeverBlocks(_ nonBlocking: Bool) throws {
        let pipe = Pipe(nonBlocking: nonBlocking)
        let sink = LogSink(descriptor: pipe.writer, capacityBytes: 1 << 20)
        let started = ContinuousClock.now
        let turns = 4000
        for turn in 0..<turns {
            // A turn of three lines, 3 KiB.
            sink.submit(
                (Self.line(1, turn * 3, padding: 1000) + Self.line(1, turn * 3 + 1, padding: 1000)
                    + Self.line(1, turn * 3 + 2, padding: 1000)).span)
        }
        let took = ContinuousClock.now - started
        #expect(took < .seconds(10))
        #expect(sink.dropped > UInt64(turns) * 3 / 2)
        #expect(!sink.flushAndStop(timeoutMs: 20))

        // When somebody reads at last, what was kept comes out whole, and the count of the rest is exact.
        let droppedBefore = sink.dropped
        let reader = Reader()
        _ = startDetachedThread { reader.finish(pipe.readAll()) }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        let lines = try reader.wait().split(separator: 0x0a).map { try parse($0) }
        #expect(lines.count + Int(sink.dropped) == turns * 3)
        #expect(sink.dropped == droppedBefore)
        let kept = lines.compactMap { $0["number"] }.compactMap {
            if case .number(let number) = $0 { number } else { nil }
        }
        #expect(kept.count == lines.count && kept == kept.sorted())
        // The queue and what a pipe holds, and no more.
        #expect(lines.count * 1020 < (1 << 20) + (256 << 10))
        close(pipe.reader)
    }

    @Test(.timeLimit(.minutes(1))) func theWriterWakesEveryTime() {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer)
        for number in 0..<5 {
            sink.submit(Self.line(0, number).span)
            guard pipe.hasBytes() else {
                Issue.record("line \(number) was not written")
                break
            }
            #expect(pipe.readSome() == Self.line(0, number))
            // Long enough for it to rest and fall asleep again.
            sleep(ms: 15)
        }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        close(pipe.reader)
    }

    @Test(.timeLimit(.minutes(1))) func whatIsBeingWrittenCountsTowardsTheCapacity() {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer, capacityBytes: 1 << 20)
        let large = (0..<900).flatMap { Self.line(0, $0, padding: 1000) }
        sink.submit(large.span)
        // The writer has taken all of it, and is stuck after the 64 KiB that the pipe holds.
        #expect(pipe.hasBytes() && sink.dropped == 0)
        sink.submit(large.span)
        #expect(sink.dropped > 600)
        let reader = Reader()
        _ = startDetachedThread { reader.finish(pipe.readAll()) }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        #expect(reader.wait().count { $0 == 0x0a } + Int(sink.dropped) == 1800)
        close(pipe.reader)
    }

    @Test(.timeLimit(.minutes(1))) func aClosedReaderCountsAsDropped() {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer)
        close(pipe.reader)
        for number in 0..<10 { sink.submit(Self.line(0, number).span) }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        #expect(sink.dropped == 10)
        close(pipe.writer)
    }

    @Test(.timeLimit(.minutes(1))) func linesOfManyThreadsDoNotMix() async throws {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer, capacityBytes: 64 << 20)
        let reader = Reader()
        _ = startDetachedThread { reader.finish(pipe.readAll()) }
        await withTaskGroup(of: Void.self) { group in
            for worker in 0..<4 {
                group.addTask {
                    for number in 0..<2000 { sink.submit(Self.line(worker, number).span) }
                }
            }
        }
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        var next: [Double: Double] = [:]
        for line in try reader.wait().split(separator: 0x0a).map({ try parse($0) }) {
            guard case .number(let worker) = line["worker"], case .number(let number) = line["number"] else { continue }
            #expect(number == next[worker, default: 0])
            next[worker] = number + 1
        }
        #expect(next == [0: 2000, 1: 2000, 2: 2000, 3: 2000] && sink.dropped == 0)
        close(pipe.reader)
    }

    @Test func theLevelMayChange() {
        let pipe = Pipe()
        let sink = LogSink(descriptor: pipe.writer, level: .warning)
        #expect(!sink.allows(.info) && sink.allows(.warning) && sink.allows(.error))
        sink.level = .debug
        #expect(sink.allows(.debug) && sink.level == .debug)
        #expect(sink.flushAndStop(timeoutMs: 20_000))
        close(pipe.writer)
        close(pipe.reader)
    }

    /// What a reading thread found.
    final class Reader: @unchecked Sendable {
        private let done = Bell()
        private var found: [UInt8] = []

        func finish(_ bytes: [UInt8]) {
            found = bytes
            done.ring()
        }

        func wait() -> [UInt8] {
            done.wait()
            return found
        }
    }
}
