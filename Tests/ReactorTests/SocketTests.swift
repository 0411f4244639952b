import Glibc
import Testing

@testable import Reactor

@Suite struct SocketTests {
    /// 127.0.0.1, mapped.
    private static let loopback: (high: UInt64, low: UInt64) = (0, 0xffff_7f00_0001)

    private func listener() throws -> FileDescriptor {
        try Socket.listen(high: Self.loopback.high, low: Self.loopback.low, port: 0)
    }

    @Test func connectsAndAccepts() throws {
        let listener = try listener()
        let port = Socket.localPort(of: listener)
        #expect(port > 0)
        if try Socket.accept(on: listener) != nil { Issue.record("somebody came") }
        let before = Socket.hasArrivals(on: listener)
        let client = try Socket.connect(high: Self.loopback.high, low: Self.loopback.low, port: port)
        let after = Socket.hasArrivals(on: listener)
        #expect(!before && after)
        guard let accepted = try Socket.accept(on: listener) else {
            Issue.record("nobody came")
            return
        }
        #expect(accepted.high == 0 && accepted.low == Self.loopback.low)
        #expect(accepted.port == Socket.localPort(of: client))
        #expect(Socket.pendingError(of: client) == nil)
        let server = accepted.takeDescriptor()
        #expect(receive(from: server).result == .wouldBlock)
        #expect(send("hello", to: client) == .moved(5))
        let peeked = [UInt8](capacity: 3) { _ = Socket.peek(at: server, into: &$0) }
        #expect(peeked == Array("hel".utf8))
        #expect(receive(2, from: server).bytes == Array("he".utf8))
        #expect(receive(from: server).bytes == Array("llo".utf8))
        Socket.shutdownWriting(client)
        #expect(receive(from: server).result == .moved(0))
        #expect(send("bye", to: server) == .moved(3))
        #expect(receive(from: client).bytes == Array("bye".utf8))
    }

    @Test func aResetIsAFailure() throws {
        let listener = try listener()
        var client: FileDescriptor? = try Socket.connect(
            high: Self.loopback.high, low: Self.loopback.low, port: Socket.localPort(of: listener))
        guard let server = try Socket.accept(on: listener)?.takeDescriptor() else {
            Issue.record("nobody came")
            return
        }
        if let client = client.take() { Socket.resetOnClose(client) }
        guard case .failed(let error) = receive(from: server).result else {
            Issue.record("no reset")
            return
        }
        #expect(error.code == ECONNRESET)
        guard case .failed = send("x", to: server) else {
            Issue.record("writing went on")
            return
        }
    }

    @Test func nobodyListens() throws {
        let port = Socket.localPort(of: try listener())
        let loop = try EventLoop()
        let source = Recorder(End(try Socket.connect(high: Self.loopback.high, low: Self.loopback.low, port: port)))
        try loop.register(source, source.descriptor)
        try loop.turn(waitAtMostMs: 1000)
        #expect(!source.seen.isDisjoint(with: [.error, .hangup]))
        #expect(Socket.pendingError(of: source.descriptor)?.code == ECONNREFUSED)
    }

    @Test func aTakenPortIsTold() throws {
        let listener = try listener()
        let port = Socket.localPort(of: listener)
        #expect(Socket.whyTaken(high: 0, low: Self.loopback.low, port: port)?.code == EADDRINUSE)
        #expect(Socket.whyTaken(high: 0, low: Self.loopback.low, port: 0) == nil)
        // Loops of one process share a port.
        let second = try Socket.listen(high: 0, low: Self.loopback.low, port: port)
        #expect(Socket.localPort(of: second) == port)
    }

    @Test(arguments: [
        (ECONNREFUSED, false), (ETIMEDOUT, false), (ECONNRESET, false), (EMFILE, true), (ENFILE, true), (ENOMEM, true),
    ])
    func errorsAreSorted(code: Int32, isShortage: Bool) {
        #expect(SystemError(code).isOutOfDescriptors == isShortage)
    }
}
