import HTTP2
import Wire

/// What must hold for an HTTP/2 session whatever its client and its caller do. The input is a script: each step is a
/// frame from the client, well formed or not, or something that the caller does. A check that fails traps.
public enum SessionCheck {
    /// Plays `script`.
    public static func run(_ script: [UInt8]) {
        let settings = HTTP2Settings(
            streams: 5, connectionWindow: 70_000, streamWindow: 3000, headBytes: 700, headFields: 12,
            abuse: (200, 1000), newStreams: 3)
        guard let session = HTTP2Session(settings) else { preconditionFailure("no session") }
        var play = Play(session, script)
        play.run()
    }
}

/// One session, its script, and what its caller must know.
struct Play {
    let session: HTTP2Session
    private var script: [UInt8]
    private var at = 0
    private var nextStream: UInt32 = 1
    private var now: UInt64 = 0
    /// What the client sent and the session did not take.
    private var wire: [UInt8] = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)
    private var isOver = false
    var ledger = Ledger()

    init(_ session: HTTP2Session, _ script: [UInt8]) {
        self.session = session
        self.script = script
    }

    mutating func run() {
        frame(4, 0, 0, [])
        while at < script.count { step() }
        receive(wire.count)
        collect(1 << 30)
        // Whatever came before: a connection that must end can end.
        session.goAway(.internalError)
        collect(1 << 30)
        precondition(session.isFinished)
        let refused = Array("x".utf8)
        precondition(session.receive(refused.span, nowMs: now) == .failed)
    }

    private mutating func byte() -> UInt8 {
        guard at < script.count else { return 0 }
        at += 1
        return script[at - 1]
    }

    private mutating func slot() -> Int { Int(byte() & 7) - 1 }

    private mutating func stream() -> UInt32 {
        let choice = UInt32(byte())
        return choice & 15 == 0 ? choice : (nextStream &+ (choice & 14)) &- 10
    }

    private mutating func step() {
        switch byte() & 15 {
        case 0, 1:
            frame(1, byte() & 1 | 4, nextStream, request())
            nextStream += 2
        case 2: frame(1, byte() & 5, stream(), request())
        case 3: frame(9, byte() & 4, stream(), fields())
        case 4:
            let payload = [UInt8](repeating: 0x61, count: Int(byte()) << (byte() & 3))
            frame(0, byte() & 1, stream(), payload)
        case 5: frame(byte(), byte(), stream(), raw(Int(byte() & 31)))
        case 6: frame(8, 0, stream(), [0, 0, byte(), byte()])
        case 7: frame(3, 0, stream(), [0, 0, 0, byte() & 15])
        case 8: frame(4, 0, 0, [0, byte() & 7, 0, 0, byte(), byte()])
        case 9: submit()
        case 10: available()
        case 11:
            let slot = slot()
            if session.submitTrailers(slot, Array(Self.lines[Int(byte()) % Self.lines.count].utf8).span) {
                ledger.ends(slot)
            }
        case 12: session.reset(slot(), HTTP2Error(rawValue: UInt32(byte() & 15)) ?? .cancel)
        case 13: collect(Int(byte()) * 300)
        case 14:
            session.consumed(slot(), Int(byte()) * 20)
            _ = session.urgency(slot())
            session.releaseMemory()
            now += UInt64(byte())
            if byte() == 255 { session.shutdownNotice() }
            if byte() == 255 { session.goAway(.noError) }
        default: receive(Int(byte()))
        }
        if wire.count > 600 { receive(wire.count) }
    }

    // MARK: - The client

    private mutating func frame(_ type: UInt8, _ flags: UInt8, _ id: UInt32, _ payload: [UInt8]) {
        wire += [0, UInt8(payload.count >> 8), UInt8(payload.count & 255), type, flags]
        wire += [UInt8(id >> 24), UInt8(id >> 16 & 255), UInt8(id >> 8 & 255), UInt8(id & 255)]
        wire += payload
    }

    private mutating func raw(_ count: Int) -> [UInt8] { (0..<count).map { _ in byte() } }

    private mutating func request() -> [UInt8] {
        var block: [UInt8] = []
        let kind = byte()
        if kind & 7 != 0 {
            for name in [":method", ":scheme", ":authority", ":path"] { block += field(name, Self.usual[name] ?? "") }
        }
        if kind & 8 != 0 { block += field(":protocol", "websocket") + field("sec-websocket-version", "13") }
        return block + fields()
    }

    private mutating func fields() -> [UInt8] {
        var block: [UInt8] = []
        for _ in 0..<(byte() & 7) {
            let name = Self.names[Int(byte()) % Self.names.count]
            let choice = byte()
            if choice < 200 {
                block += field(name, Self.values[Int(choice) % Self.values.count])
            } else if choice < 230 {
                block += [0, UInt8(name.utf8.count)] + Array(name.utf8) + [choice & 15] + raw(Int(choice & 15))
            } else {
                block += raw(Int(choice & 7))
            }
        }
        return block
    }

    private mutating func field(_ name: String, _ value: String) -> [UInt8] {
        // Some are put into HPACK's table.
        let form: UInt8 = byte() & 1 == 0 ? 0 : 0x40
        return [form, UInt8(name.utf8.count)] + Array(name.utf8) + [UInt8(value.utf8.count)] + Array(value.utf8)
    }

    private mutating func receive(_ count: Int) {
        if isOver { wire = [] }
        var given = Array(wire.prefix(count))
        wire.removeFirst(given.count)
        while !given.isEmpty {
            let result = session.receive(given.span, nowMs: now)
            ledger.drain(session, given.count)
            guard case .taken(let taken) = result else {
                isOver = true
                wire = []
                return
            }
            precondition(taken > 0 && taken <= given.count)
            given.removeFirst(taken)
        }
    }

    // MARK: - The caller

    private mutating func submit() {
        let slot = slot()
        let head = Array(Self.heads[Int(byte()) % Self.heads.count].utf8)
        let ends = byte() & 1 == 0
        if session.submitHead(slot, head.span, ends: ends) { precondition(ledger.isOpen(slot)) }
    }

    private mutating func available() {
        let slot = slot()
        let count = Int(byte()) * 100
        let ends = byte() & 1 == 0
        session.setAvailable(slot, count, ends: ends)
        ledger.available(slot, count)
    }

    private mutating func collect(_ limit: Int) {
        session.collect(limit: limit)
        ledger.take(session)
        ledger.drain(session, 0)
    }
}
