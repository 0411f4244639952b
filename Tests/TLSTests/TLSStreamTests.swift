import COpenSSL
import StreamSupport
import TLS
import Testing
import Transport

/// A stream over TLS keeps the promises of a plain one.
@Suite struct TLSStreamTests {
    private static let versions = [TLS1_2_VERSION, TLS1_3_VERSION]

    @Test(arguments: versions)
    func bytesCrossBothWays(version: Int32) throws {
        let wire = try TLSWire(version)
        #expect(wire.send(pattern(50_000)) == .sent)
        #expect(wire.client.reads() == pattern(50_000))
        #expect(wire.client.writes(pattern(50_000)))
        var got: [UInt8] = []
        var outcome = ReadOutcome.blocked
        repeat {
            if got.isEmpty { wire.edge() }
            let read = wire.read()
            outcome = read.outcome
            got += read.bytes
        } while outcome != .blocked
        #expect(got == pattern(50_000))
        #expect(wire.hasNothingToRead)
        #expect(wire.bytesRead == 50_000 && wire.bytesWritten == 50_000)
    }

    /// close_notify comes in the same event as the last bytes, FIN later or never.
    @Test(arguments: versions)
    func aGoodbyeBehindBytesIsNotForgotten(version: Int32) throws {
        let wire = try TLSWire(version)
        #expect(wire.client.writes(pattern(10)))
        wire.client.saysGoodbye()
        wire.edge()
        let first = wire.read()
        #expect(first.bytes == pattern(10))
        #expect(!wire.hasNothingToRead)
        #expect(wire.read().outcome == .ended)
        #expect(wire.send(pattern(3)) == .sent)
        #expect(wire.client.reads() == pattern(3))
    }

    /// Reading may make TLS answer. Nobody waits for the socket to become writable then, so the answer leaves at once.
    @Test func whatTLSAnswersLeavesWithTheRead() throws {
        let wire = try TLSWire(TLS1_2_VERSION)
        #expect(wire.client.asksToRenegotiate())
        #expect(!wire.client.shakeHands())
        wire.edge()
        #expect(wire.read().outcome == .blocked)
        #expect(!wire.isBlocked)
        #expect(wire.send(pattern(4)) == .sent)
    }

    @Test(arguments: versions)
    func backpressure(version: Int32) throws {
        let wire = try TLSWire(version)
        var sent: [UInt8] = []
        repeat { sent += pattern(100_000) } while wire.send(pattern(100_000)) == .sent
        #expect(wire.pendingBytes > 0)
        #expect(wire.shutdownWriting() == .blocked)
        var got: [UInt8] = []
        for _ in 0..<1000 where !wire.client.sawGoodbye {
            got += wire.client.reads()
            _ = wire.flush()
        }
        #expect(got == sent)
        #expect(wire.didShutdownWriting)
    }

    /// A cut answer must not look whole: no goodbye follows an abort.
    @Test(arguments: versions)
    func anAbortSaysNoGoodbye(version: Int32) throws {
        let wire = try TLSWire(version)
        #expect(wire.send(pattern(10)) == .sent)
        wire.abort()
        #expect(wire.shutdownWriting() == .sent)
        #expect(wire.client.reads() == pattern(10))
        #expect(!wire.client.sawGoodbye)
    }
}
