import Crypto
import LocalServer
import Wire

/// Large bodies in both directions, a block at a time.
extension DemoHandler {
    /// `/download?bytes=N`: byte `i` of the answer is `i % 251`, a prime, so that a lost or doubled block shows.
    /// With `chunked=1` the length is not announced.
    func download(_ request: LocalRequest, _ connection: LocalConnection) throws {
        let total = request.parameter("bytes", in: 0...UInt64(1) << 40, else: 1024)
        let length = request.parameter("chunked") == "1" ? nil : total
        try connection.stream(status: 200, contentType: "application/octet-stream", length: length) { writer in
            let period = 251
            let block = (0..<period * 1024).map { UInt8(truncatingIfNeeded: $0 % period) }
            var left = total
            while left > 0 {
                let count = Int(min(left, UInt64(block.count)))
                try writer.write(block.span.extracting(0..<count))
                left -= UInt64(count)
            }
        }
    }

    /// `/upload`: reads the whole body, keeps nothing, and tells its size and SHA-256 (`digest=none` leaves that out).
    func upload(_ request: LocalRequest, _ connection: LocalConnection) throws {
        let digests = request.parameter("digest") != "none"
        var hash = SHA256Stream()
        var total: UInt64 = 0
        while true {
            let isEnd = try request.body.next { bytes in
                total += UInt64(bytes.count)
                if digests { hash.update(bytes) }
            }
            if isEnd { break }
        }
        let digest = digests ? "\"\(hex(hash.finish()))\"" : "null"
        try connection.respond(
            status: 200, contentType: "application/json", body: "{\"bytes\":\(total),\"sha256\":\(digest)}\n")
    }

    private func hex(_ bytes: [UInt8]) -> String {
        bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}
