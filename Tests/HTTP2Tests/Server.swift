import HTTP2
import Testing
import Wire

/// A session and what its caller would keep: what happened, and the bodies that go out.
final class Server {
    let session: HTTP2Session
    /// What happened, in words; DATA by slot in `bodies`.
    var log: [String] = []
    var bodies: [Int: [UInt8]] = [:]
    var answers: [Int: [UInt8]] = [:]
    var last = Received.taken(0)
    let inflater = Inflater()
    var consumes = true
    /// What slots are called in `log` and `bodies`; by default their number, otherwise that of the request in its order.
    var countsRequests = false
    private var names: [Int: Int] = [:]
    private var requests = 0

    init(_ settings: HTTP2Settings = HTTP2Settings()) throws {
        session = try #require(HTTP2Session(settings))
    }

    /// One that has said and heard hello, with nothing left to say.
    static func greeted(_ settings: HTTP2Settings = HTTP2Settings()) throws -> Server {
        let server = try Server(settings)
        server.receive(Frame.hello + Frame.settingsAck.bytes)
        _ = server.send()
        server.log = []
        return server
    }

    /// Gives `bytes`, and again what was not taken.
    func receive(_ bytes: [UInt8], nowMs: UInt64 = 0) {
        var bytes = bytes
        repeat {
            last = session.receive(bytes.span, nowMs: nowMs)
            drain(bytes)
            guard case .taken(let count) = last else { return }
            bytes.removeFirst(count)
        } while !bytes.isEmpty
    }

    func receive(_ frames: Frame..., nowMs: UInt64 = 0) { receive(frames.flatMap(\.bytes), nowMs: nowMs) }

    func drain(_ bytes: [UInt8] = []) {
        while let event = session.takeEvent() {
            switch event {
            case .request(let slot, let head, let ends, let isTunnel):
                let slot = name(slot, isNew: true)
                let text = session.withHeads { $0.extracting(head).text() }
                log.append("request \(slot)\(ends ? " ends" : "")\(isTunnel ? " tunnel" : "") \(text)")
                bodies[slot] = []
                answers[slot] = []
            case .refused(let slot, let refusal, _, let ends):
                let slot = name(slot, isNew: true)
                log.append("refused \(slot) \(refusal)\(ends ? " ends" : "")")
            case .data(let slot, let range):
                bodies[name(slot), default: []] += bytes[range]
                if consumes { session.consumed(slot, range.count) }
            case .ended(let slot): log.append("ended \(name(slot))")
            case .closed(let slot, let code): log.append("closed \(name(slot)) \(code)")
            case .windowOpened: break
            case .goAway: log.append("goAway")
            }
        }
    }

    private func name(_ slot: Int, isNew: Bool = false) -> Int {
        guard countsRequests else { return slot }
        if isNew {
            names[slot] = requests
            requests += 1
        }
        return names[slot, default: -1]
    }

    func head(_ slot: Int, _ text: String, ends: Bool = false) -> Bool {
        session.submitHead(slot, Array(text.utf8).span, ends: ends)
    }

    /// Makes `count` bytes of an answer available in all.
    func body(_ slot: Int, _ count: Int, ends: Bool = false) {
        session.setAvailable(slot, count, ends: ends)
    }

    /// Everything that can go out, or so much DATA. Bodies are made of the slot's number.
    func send(limit: Int = 1 << 30) -> [Frame] {
        var wire = ByteBuffer()
        session.collect(limit: limit)
        while let piece = session.takePiece() {
            switch piece {
            case .frames(let range): session.withOutput { wire.append($0, range) }
            case .data(let slot, let header, let count, _):
                wire.append(header.bytes.span)
                for _ in 0..<count { wire.append(UInt8(slot & 255)) }
            }
        }
        drain()
        return Frame.parse(wire.withReadable { $0.copied() })
    }

    /// The fields of each header block.
    func fields(_ frames: [Frame]) -> [[String]] {
        frames.filter { $0.type == 1 }.map { inflater.fields($0.payload) }
    }
}
