import LocalServer
import Testing

@Suite(.timeLimit(.minutes(1))) struct WebSocketTests {
    private let server: TestServer
    private let client: RawClient

    init() throws {
        server = try TestServer()
        client = try server.client()
        try client.upgrade("/socket")
    }

    @Test(arguments: [0, 1, 125, 126, 65_535, 65_536, 300_000])
    func echoesMessagesOfEverySize(count: Int) throws {
        let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 % 251) }
        try client.sendFrame(0x82, payload)
        let echoed = try client.frame()
        #expect(echoed.first == 0x82)
        #expect(echoed.payload == payload)
    }

    @Test func joinsFragmentsAndAnswersAPingBetweenThem() throws {
        try client.sendFrame(0x01, Array("Grü".utf8.dropLast()))
        try client.sendFrame(0x89, Array("ping".utf8))
        try client.sendFrame(0x00, [Array("Grü".utf8).last!])
        try client.sendFrame(0x80, Array("ße".utf8))
        let pong = try client.frame()
        #expect(pong.first == 0x8a)
        #expect(pong.payload == Array("ping".utf8))
        let echoed = try client.frame()
        #expect(echoed.first == 0x81)
        #expect(String(decoding: echoed.payload, as: UTF8.self) == "Grüße")
    }

    @Test func readsFramesThatComeByteByByte() throws {
        for byte in RawClient.frame(0x81, Array("slowly".utf8)) { try client.send([byte]) }
        #expect(try client.frame().payload == Array("slowly".utf8))
    }

    @Test func echoesTheCloseCodeAndCloses() throws {
        try client.sendFrame(0x88, [0x03, 0xf3] + Array("bye".utf8))
        let close = try client.frame()
        #expect(close.first == 0x88)
        #expect(close.payload == [0x03, 0xf3])
        #expect(try client.isAtEnd())
    }

    @Test func saysWhyAMessageIsTooLargeThoughItIsStillComing() throws {
        var limits = LocalLimits()
        limits.messageBytes = 1000
        let server = try TestServer(limits: limits)
        let client = try server.client()
        try client.upgrade("/socket")
        try client.sendFrame(0x82, [UInt8](repeating: 1, count: 400_000))
        let close = try client.frame()
        #expect(close.payload == [0x03, 0xf1])
        #expect(try client.isAtEnd())
    }

    /// What is sent, and the close code that answers it (RFC 6455 section 7.4.1).
    @Test(
        arguments: [
            ([0x81, 0x00], 1002),
            (RawClient.frame(0xc1, []), 1002),
            (RawClient.frame(0x83, []), 1002),
            (RawClient.frame(0x80, []), 1002),
            (RawClient.frame(0x01, []) + RawClient.frame(0x81, []), 1002),
            (RawClient.frame(0x09, []), 1002),
            (RawClient.frame(0x89, [UInt8](repeating: 0, count: 126)), 1002),
            ([0x81, 0xfe, 0x00, 0x01, 0, 0, 0, 0, 0x61], 1002),
            (RawClient.frame(0x81, [0xff]), 1007),
            (RawClient.frame(0x88, [0x03]), 1002),
            (RawClient.frame(0x88, [0x03, 0xed]), 1002),
            ([0x82, 0xff, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0], 1009),
            ([0x82, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0], 1009),
        ] as [([UInt8], Int)])
    func closesOnABrokenFrame(wire: [UInt8], code: Int) throws {
        try client.send(wire)
        let close = try client.frame()
        #expect(close.first == 0x88)
        #expect(close.payload == [UInt8(code >> 8), UInt8(code & 255)])
        #expect(try client.isAtEnd())
    }
}
