import COpenSSL
import StreamSupport
import TLS
import Testing

@Suite struct TLSSessionTests {
    private static let versions = [TLS1_2_VERSION, TLS1_3_VERSION]

    private func pair(_ version: Int32) throws -> TLSPair {
        let pair = TLSPair(try Fixture.store(["wildcard"]), Wishes(versions: (version, version)))
        #expect(pair.shakeHands())
        return pair
    }

    @Test(arguments: versions, [1, 16_384, 16_385, 100_000])
    func bytesCrossBothWays(version: Int32, count: Int) throws {
        let pair = try pair(version)
        let bytes = pattern(count)
        #expect(pair.serverWrites(bytes) == .done(count))
        #expect(pair.flush())
        #expect(pair.client.reads() == bytes)

        #expect(pair.client.writes(bytes))
        var got: [UInt8] = []
        while true {
            let read = pair.serverReads()
            guard case .done = read.outcome else { break }
            got += read.bytes
        }
        #expect(got == bytes)
        #expect(pair.server.isDrained)
    }

    /// Many records are gathered into what the caller lent, so that they leave in one call.
    @Test(arguments: versions)
    func writesAreGathered(version: Int32) throws {
        let pair = try pair(version)
        let bytes = pattern(200_000)
        #expect(pair.serverWrites(bytes) == .done(bytes.count))
        #expect(pair.pendingBytes > bytes.count)
        #expect(pair.pendingBytes < bytes.count + 14 * 40)
        #expect(pair.client.reads().isEmpty, "nothing leaves before it is flushed")
        var got: [UInt8] = []
        while pair.pendingBytes > 0 {
            pair.flush()
            got += pair.client.reads()
        }
        #expect(got == bytes)
    }

    @Test func anEmptyWriteSendsNothing() throws {
        let pair = try pair(TLS1_3_VERSION)
        #expect(pair.serverWrites([]) == .done(0))
        #expect(pair.pendingBytes == 0)
    }

    @Test(arguments: versions)
    func nothingToReadIsNoEnd(version: Int32) throws {
        let pair = try pair(version)
        #expect(pair.serverReads().outcome == .wouldBlock)
        #expect(pair.server.isDrained)
    }

    /// The end may come with the last bytes: it must still be told when those were taken.
    @Test(arguments: versions)
    func aGoodbyeBehindBytesIsNotForgotten(version: Int32) throws {
        let pair = try pair(version)
        #expect(pair.client.writes(pattern(10)))
        pair.client.saysGoodbye()
        #expect(pair.serverReads().bytes == pattern(10))
        #expect(pair.serverReads().outcome == .ended)
        #expect(!pair.server.isDrained, "a reader that comes again must learn of the end")
        #expect(pair.serverReads().outcome == .ended)
    }

    @Test(arguments: versions)
    func ourGoodbyeIsSaidOnce(version: Int32) throws {
        let pair = try pair(version)
        pair.serverCloses()
        #expect(pair.pendingBytes > 0)
        #expect(pair.flush())
        pair.serverCloses()
        #expect(pair.pendingBytes == 0)
    }

    @Test func aGoodbyeBeforeTheHandshakeIsSilent() throws {
        let pair = TLSPair(try Fixture.store(["wildcard"]))
        pair.serverCloses()
        #expect(pair.pendingBytes == 0)
    }

    @Test func renegotiationIsRefused() throws {
        let pair = try pair(TLS1_2_VERSION)
        #expect(pair.client.asksToRenegotiate())
        for _ in 0..<4 {
            #expect(!pair.client.shakeHands())
            _ = pair.serverReads()
            pair.flush()
        }
    }

    @Test func keyUpdatesAreCountedAndAnswered() throws {
        let pair = try pair(TLS1_3_VERSION)
        #expect(pair.server.keyUpdates == 0)
        for count in 1...3 {
            #expect(pair.client.updatesKeys())
            #expect(pair.serverReads().outcome == .wouldBlock)
            #expect(pair.server.keyUpdates == UInt32(count))
        }
        #expect(pair.serverWrites(pattern(5)) == .done(5))
        #expect(pair.flush())
        #expect(pair.client.reads() == pattern(5))
    }
}
