import HTTP2
import Testing

/// With nghttp2's client at the other end.
@Suite struct InteropTests {
    /// Lets both talk until neither has anything to say, at most `pieceSize` bytes at a time.
    private func talk(_ client: Client, _ server: Server, pieceSize: Int = 1 << 20, _ act: () -> Void = {}) {
        for _ in 0..<10_000 {
            var wire = client.send()
            let frames = server.send(limit: pieceSize)
            if wire.isEmpty, frames.isEmpty { return }
            while !wire.isEmpty {
                let piece = Array(wire.prefix(pieceSize))
                wire.removeFirst(piece.count)
                server.receive(piece)
                act()
            }
            for frame in frames { client.receive(frame.bytes) }
        }
        Issue.record("they never stop")
    }

    @Test(arguments: [1 << 20, 1000, 7]) func uploadAndDownload(pieceSize: Int) throws {
        let size = pieceSize < 100 ? 70_000 : 700_000
        let client = try Client()
        let server = try Server(HTTP2Settings(streams: 10))
        let ids = (0..<3).map { _ in client.request(Frame.request("POST", "/up"), upload: size) }
        var answered = 0
        talk(client, server, pieceSize: pieceSize) {
            while answered < server.log.count(where: { $0.hasPrefix("ended") }) {
                #expect(server.head(answered, "HTTP/1.1 103 x\r\nLink: y\r\n\r\n"))
                #expect(server.head(answered, "HTTP/1.1 200 OK\r\nA: b\r\n\r\n"))
                server.body(answered, size)
                let isTaken = server.session.submitTrailers(answered, Array("Sum: 1\r\n".utf8).span)
                #expect(isTaken)
                answered += 1
            }
        }
        for (slot, id) in ids.enumerated() {
            #expect(server.bodies[slot]?.count == size)
            #expect(client.bodies[id] == size)
            #expect(client.fields[id] == [":status: 103", "link: y", ":status: 200", "a: b", "sum: 1"])
            #expect(client.ended.contains(id))
            #expect(client.codes[id] == 0)
        }
        #expect(server.log.suffix(3).allSatisfy { $0.hasPrefix("closed") })
        #expect(server.session.openStreams == 0)
        server.session.releaseMemory()
        _ = client.request(Frame.request("GET", "/again"))
        talk(client, server)
        #expect(server.log.last?.contains("GET /again HTTP/1.1") == true)
    }

    @Test func resets() throws {
        let client = try Client()
        let server = try Server()
        let id = client.request(Frame.request("POST", "/up"), upload: 1 << 20)
        server.consumes = false
        talk(client, server)
        // The stream's window is full and the client waits.
        #expect(server.bodies[0]?.count == 65_536)
        server.session.reset(0, .refusedStream)
        talk(client, server)
        #expect(client.codes[id] == HTTP2Error.refusedStream.rawValue)
        #expect(server.session.openStreams == 0)
    }

    @Test func manyRequests() throws {
        let client = try Client()
        let server = try Server(HTTP2Settings(streams: 50))
        var done = 0
        for round in 0..<100 {
            let ids = (0..<20).map { client.request(Frame.request("GET", "/\(round)/\($0)")) }
            talk(client, server) {
                for line in server.log {
                    guard line.hasPrefix("request "), let slot = Int(line.split(separator: " ")[1]) else { continue }
                    #expect(server.head(slot, "HTTP/1.1 200 OK\r\n\r\n"))
                    server.body(slot, 100, ends: true)
                    done += 1
                }
                server.log = []
            }
            #expect(ids.allSatisfy { client.bodies[$0] == 100 && client.codes[$0] == 0 })
        }
        #expect(done == 2000)
        #expect(server.session.openStreams == 0)
    }
}
