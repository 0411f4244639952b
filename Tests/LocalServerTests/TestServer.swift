import LocalServer
import Testing
import Wire

/// A server on a free loopback port, stopped with its scope.
final class TestServer {
    let server: LocalServer

    init(limits: LocalLimits = LocalLimits(), handler: any LocalHandler = EchoHandler()) throws {
        let endpoint = Endpoint(address: IPAddress(ipv4: 0x7f00_0001), port: 0)
        server = try LocalServer(listening: .tcp(endpoint), limits: limits, handler: handler)
        try server.start()
    }

    deinit { server.stop() }

    func client() throws -> RawClient { try RawClient(port: server.port) }
}

/// Answers with what it was sent.
struct EchoHandler: LocalHandler {
    struct Failure: Error {}

    func respond(to request: LocalRequest, on connection: LocalConnection) throws {
        switch request.path {
        case "/body":
            let body = try request.body.collect(atMost: 1 << 20)
            try connection.respond(status: 200, contentType: "application/octet-stream", body: body)
        case "/head":
            let value = request.header("x-test") ?? "none"
            try connection.respond(status: 200, body: "\(request.method) \(request.query ?? "-") \(value)")
        case "/stream":
            try connection.stream(status: 200, contentType: "text/plain") { writer in
                for word in ["one ", "two ", "three"] { try writer.write(word) }
            }
        case "/short":
            try connection.stream(status: 200, contentType: "text/plain", length: 10) { try $0.write("half") }
        case "/socket":
            let socket = try connection.upgradeToWebSocket(request)
            while let message = try socket.readMessage() {
                switch message {
                case .text(let text): try socket.sendText(text)
                case .binary(let bytes): try socket.sendBinary(bytes)
                }
            }
        case "/inject": try connection.respond(status: 200, headers: [("x-a", "b\r\nx-evil: 1")], body: "")
        case "/silent": return
        default: throw Failure()
        }
    }
}
