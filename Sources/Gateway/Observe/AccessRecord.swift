import Identity
import Observe
import Reactor
import Wire

/// What the access log says of one request; filled as it becomes known. Its storage is used again for the next.
struct AccessRecord: ~Copyable {
    var id = RequestID(high: 0, low: 0)
    var startUs: UInt64 = 0
    var upstreamStartUs: UInt64 = 0
    var upstreamUs: UInt64?
    var vmid: UInt32 = 0
    var user: String?
    var status: UInt16 = 0
    var bytesIn: UInt64 = 0
    var bytesOut: UInt64 = 0
    var reason: StaticString?
    /// The target as received: path and query. The log takes the path alone.
    private(set) var target = ByteBuffer()
    private(set) var host = ByteBuffer()
    private var pathCount = 0
    /// The beginning of a method that is none of the standard ones.
    private var otherMethod: [UInt8] = []
    private(set) var isOpen = false

    /// Starts the record of a request whose first byte has come.
    mutating func begin(_ worker: Worker) {
        id = worker.ids.next()
        startUs = worker.loop.nowUs
        upstreamUs = nil
        vmid = 0
        user = nil
        status = 0
        bytesIn = 0
        bytesOut = 0
        reason = nil
        target.removeAll()
        host.removeAll()
        pathCount = 0
        if !otherMethod.isEmpty { otherMethod = [] }
        isOpen = true
    }

    /// Keeps what a log line or a redirect needs of the head.
    mutating func note(_ head: RequestHead, _ bytes: borrowing Span<UInt8>) {
        if head.method == .other { noteMethod(bytes.extracting(head.methodRange)) }
        host.append(lowercasing: bytes.extracting(head.authorityRange))
        if head.pathRange.isEmpty { target.append(UInt8(ascii: "/")) }
        target.append(bytes, head.pathRange)
        pathCount = target.count
        if let query = head.queryRange {
            target.append(UInt8(ascii: "?"))
            target.append(bytes, query)
        }
    }

    /// Keeps the method of a request as it was sent, where it is none of the standard ones.
    mutating func noteMethod(_ token: borrowing Span<UInt8>) {
        guard Method(recognising: token) == .other else { return }
        otherMethod = token.extracting(first: Self.methodBytes).copied()
    }

    /// What is logged of a method at most; the longest registered one has 17.
    private static let methodBytes = 32

    mutating func close() { isOpen = false }

    /// Holds no more than its bytes: a tunnel keeps its record for hours and says one more line.
    mutating func compact() {
        host.compact()
        target.compact()
    }

    /// Lets go of the storage that an unusually long target took.
    mutating func becameIdle() {
        guard target.capacity > 1024 else { return }
        target = ByteBuffer()
        pathCount = 0
    }

    /// The port that a plain listener was asked on serves no TLS.
    borrowing func appendHostWithoutPort(to out: inout ByteBuffer) {
        host.withReadable { host in
            var end = 0
            while end < host.count, host[end] != UInt8(ascii: ":") { end += 1 }
            out.append(host, 0..<end)
        }
    }

    /// Path and query; `/` for a target that has neither (`OPTIONS *`).
    borrowing func appendTarget(to out: inout ByteBuffer) {
        target.withReadable { target in
            guard target.count > 0, target[0] == UInt8(ascii: "/") else { return out.append(UInt8(ascii: "/")) }
            out.append(target)
        }
    }

    /// The fields that every line about this request has.
    borrowing func appendFields(method: Method, client: IPAddress, session: Session?, to log: inout ByteBuffer) {
        log.field("request_id", hex: id.high, id.low)
        log.field("client", client)
        if vmid != 0 { log.field("vmid", UInt64(vmid)) }
        if let user = session?.user ?? user { log.field("user", text: user) }
        if method == .other {
            if otherMethod.isEmpty { log.field("method", "-") } else { log.field("method", otherMethod.span) }
        } else {
            log.field("method", method.name)
        }
        host.withReadable { log.field("host", $0) }
        target.withReadable { log.field("path", $0.extracting(first: pathCount)) }
    }
}

extension ByteBuffer {
    /// Moves the bytes to storage of their size.
    fileprivate mutating func compact() {
        var exact = isEmpty ? ByteBuffer() : ByteBuffer(capacity: count)
        withReadable { exact.append($0) }
        swap(&self, &exact)
    }
}

extension Exchange {
    /// Counts and logs the request. Once for each.
    func finishRecord() {
        guard record.isOpen else { return }
        record.close()
        let (worker, client) = (self.worker, self.client!)
        client.connection.countBytes()
        let tookUs = Int64(worker.loop.nowUs &- record.startUs)
        worker.metrics.request(method: method, code: Int(record.status), protocol: client.httpProtocol)
        worker.metrics.requestTime(microseconds: tookUs)
        if let upstreamUs = record.upstreamUs { worker.metrics.upstreamTime(microseconds: Int64(upstreamUs)) }
        guard worker.settings.logsAccess, worker.shared.log.allows(.info) else { return }
        worker.log.beginLog(.info, "access", epochMs: worker.loop.epochMs)
        record.appendFields(method: method, client: client.address, session: session, to: &worker.log)
        worker.log.field("status", UInt64(record.status))
        worker.log.field("bytes_in", record.bytesIn)
        worker.log.field("bytes_out", record.bytesOut)
        worker.log.field("ms", microseconds: tookUs)
        if let upstreamUs = record.upstreamUs { worker.log.field("upstream_ms", microseconds: Int64(upstreamUs)) }
        worker.log.field("protocol", protocolLabel)
        if let reason = record.reason { worker.log.field("reason", reason) }
        worker.log.endLog()
    }

    private var protocolLabel: StaticString {
        if client.httpProtocol == .h2 { return "h2" }
        return minorVersion == 0 ? "http/1.0" : "http/1.1"
    }

    /// Logs a tunnel's beginning; its end has the counts.
    func logTunnelOpen() {
        guard worker.shared.log.allows(.info) else { return }
        worker.log.beginLog(.info, "tunnel_open", epochMs: worker.loop.epochMs)
        record.appendFields(method: method, client: client.address, session: session, to: &worker.log)
        worker.log.field("protocol", protocolLabel)
        worker.log.endLog()
    }

    func logTunnelClose(_ reason: StaticString) {
        guard worker.shared.log.allows(.info) else { return }
        worker.log.beginLog(.info, "tunnel_close", epochMs: worker.loop.epochMs)
        record.appendFields(method: method, client: client.address, session: session, to: &worker.log)
        worker.log.field("bytes_in", tunnel.bytesIn)
        worker.log.field("bytes_out", tunnel.bytesOut)
        worker.log.field("ms", microseconds: Int64(worker.loop.nowUs &- tunnel.openedUs))
        worker.log.field("protocol", protocolLabel)
        worker.log.field("reason", reason)
        worker.log.endLog()
    }
}
