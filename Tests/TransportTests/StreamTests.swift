import Reactor
import StreamSupport
import Testing
import Wire

@testable import Transport

@Suite struct StreamTests {
    private let wired: Wired
    private let peer: Peer

    init() throws { (wired, peer) = try Wired.make() }

    @Test func readsWhatCameAndThenWaits() {
        #expect(wired.read().outcome == .blocked)
        #expect(wired.hasNothingToRead)
        #expect(peer.sends(pattern(100)))
        #expect(wired.read().outcome == .blocked, "no read before the kernel said so")
        wired.edge()
        #expect(!wired.hasNothingToRead)
        let (outcome, bytes) = wired.read()
        #expect(outcome == .bytes(100))
        #expect(bytes == pattern(100))
        #expect(wired.hasNothingToRead, "a short read emptied the socket")
        #expect(wired.bytesRead == 100)
    }

    /// The end comes with the last bytes in one event, and no event tells it again.
    @Test func anEndBehindBytesIsNotForgotten() {
        #expect(peer.sends(pattern(5)))
        Socket.shutdownWriting(peer.socket)
        wired.edge([.readable, .peerClosed])
        #expect(wired.read().bytes == pattern(5))
        #expect(!wired.hasNothingToRead)
        #expect(wired.read().outcome == .ended)
        #expect(wired.send(pattern(3)) == .sent, "half-close: we may still write")
        #expect(peer.receives().bytes == pattern(3))
    }

    @Test func aResetIsAFailure() throws {
        let wired: Wired
        var peer: Peer?
        (wired, peer) = try Wired.make()
        if let peer { Socket.resetOnClose(peer.socket) }
        peer = nil
        wired.edge([.readable, .peerClosed, .error, .hangup])
        #expect(wired.read().outcome == .failed)
        #expect(wired.send(pattern(3)) == .failed)
    }

    /// What was sent must not pass for the whole: the peer sees a reset and no end.
    @Test func anAbortIsNoEnd() throws {
        var wired: Wired?
        let peer: Peer
        (wired, peer) = try Wired.make()
        #expect(wired?.send(pattern(10)) == .sent)
        wired?.abort()
        #expect(wired?.isWriteShutdown == true)
        #expect(wired?.shutdownWriting() == .sent)
        wired = nil
        guard case .failed = peer.receives().end else {
            Issue.record("the peer saw an orderly end")
            return
        }
    }

    @Test func readsGrowWhileTheyComeBackFullAndShrinkAgain() throws {
        let big = pattern(2 << 20)
        var sent = 0
        var sizes: [Int] = []
        var got: [UInt8] = []
        while got.count < big.count {
            while sent < big.count {
                guard
                    case .moved(let count) = Socket.send(big.span.extracting(droppingFirst: sent), to: peer.socket)
                else { break }
                sent += count
            }
            wired.edge()
            let (outcome, bytes) = wired.read()
            guard case .bytes(let count) = outcome else { break }
            sizes.append(count)
            got += bytes
        }
        #expect(got == big)
        #expect(sizes.first.map { $0 <= 32 * 1024 } == true)
        #expect(sizes.contains { $0 > 64 * 1024 })

        wired.stream.readLess()
        #expect(peer.sends(pattern(100_000)))
        wired.edge()
        guard case .bytes(let count) = wired.read().outcome else {
            Issue.record("nothing came")
            return
        }
        #expect(count <= 32 * 1024)
    }

    @Test func aLimitHolds() {
        #expect(peer.sends(pattern(10_000)))
        wired.edge()
        guard case .bytes(let count) = wired.read(limit: 1000).outcome else {
            Issue.record("nothing came")
            return
        }
        // A block of the pool may be larger than what was asked for, by no more than its step.
        #expect(count >= 1000 && count <= 10_000)
    }

    /// What the kernel does not take waits in the stream, in order, and leaves as the peer reads.
    @Test func backpressure() {
        let piece = pattern(100_000)
        var sent: [UInt8] = []
        var outcome = WriteOutcome.sent
        while outcome == .sent {
            outcome = wired.send(piece)
            sent += piece
        }
        #expect(outcome == .blocked)
        #expect(wired.isBlocked && wired.pendingBytes > 0)
        #expect(wired.send([1, 2, 3]) == .blocked)
        sent += [1, 2, 3]
        var got: [UInt8] = []
        for _ in 0..<1000 where got.count < sent.count {
            got += peer.receives().bytes
            _ = wired.flush()
        }
        #expect(got == sent)
        #expect(!wired.isBlocked)
        #expect(wired.bytesWritten == UInt64(sent.count))
    }

    @Test func aShutdownWaitsForWhatIsPending() {
        let piece = pattern(1 << 20)
        var total = 0
        while wired.send(piece) == .sent { total += piece.count }
        total += piece.count
        #expect(wired.shutdownWriting() == .blocked)
        #expect(wired.isWriteShutdown && !wired.didShutdownWriting)
        var got = 0
        var end = IOResult.wouldBlock
        for _ in 0..<1000 where end != .moved(0) {
            let received = peer.receives()
            got += received.bytes.count
            end = received.end
            _ = wired.flush()
        }
        #expect(got == total)
        #expect(end == .moved(0), "FIN comes last")
        #expect(wired.didShutdownWriting)
        #expect(wired.shutdownWriting() == .sent)
    }

    @Test func peekingLeavesAndSkippingTakes() {
        func first(_ most: Int) -> [UInt8]? {
            if case .found(let bytes) = wired.stream.peek(atMost: most, { $0.copied() }) { return bytes }
            return nil
        }
        #expect(first(10) == nil)
        #expect(peer.sends(Array("PROXY rest".utf8)))
        #expect(first(5) == Array("PROXY".utf8))
        #expect(first(64) == Array("PROXY rest".utf8))
        wired.stream.skip(6)
        wired.edge()
        #expect(wired.read().bytes == Array("rest".utf8))
        Socket.shutdownWriting(peer.socket)
        guard case .ended = wired.stream.peek(atMost: 8, { $0.count }) else {
            Issue.record("the end was not seen")
            return
        }
    }
}
