import LocalServer
import Wire

/// The routes of the demo container.
struct DemoHandler: LocalHandler {
    func respond(to request: LocalRequest, on connection: LocalConnection) throws {
        if let file = DemoPage.file(at: request.path) {
            guard ["GET", "HEAD"].contains(request.method) else { return try refuse(connection, allow: "GET, HEAD") }
            return try connection.respond(status: 200, contentType: file.contentType, body: file.bytes)
        }
        switch (request.method, request.path) {
        case ("GET", "/echo"): try echo(request, connection)
        case ("GET", "/shell"): try shell(request, connection)
        case ("GET", "/events"): try events(request, connection)
        case ("GET", "/download"), ("HEAD", "/download"): try download(request, connection)
        case ("POST", "/upload"), ("PUT", "/upload"): try upload(request, connection)
        case ("GET", "/slow"): try slow(request, connection)
        case (_, "/headers"):
            try connection.respond(status: 200, contentType: "application/json", body: describe(request))
        case (_, "/echo"), (_, "/shell"), (_, "/events"), (_, "/download"), (_, "/slow"):
            try refuse(connection, allow: "GET, HEAD")
        case (_, "/upload"): try refuse(connection, allow: "POST, PUT")
        default: try connection.respond(status: 404, body: "no such page in the demo container\n")
        }
    }

    private func refuse(_ connection: LocalConnection, allow: String) throws {
        try connection.respond(status: 405, headers: [("allow", allow)], body: "use \(allow)\n")
    }

    /// `/echo`: every message comes back as it is.
    private func echo(_ request: LocalRequest, _ connection: LocalConnection) throws {
        let socket = try connection.upgradeToWebSocket(request)
        while let message = try socket.readMessage() {
            switch message {
            case .text(let text): try socket.sendText(text)
            case .binary(let bytes): try socket.sendBinary(bytes)
            }
        }
    }

    /// `/shell`: refused to whoever came past the gateway.
    private func shell(_ request: LocalRequest, _ connection: LocalConnection) throws {
        guard connection.isTrustedPeer else {
            return try connection.respond(status: 403, body: "only through the gateway\n")
        }
        // A page elsewhere may open a WebSocket to a loopback port; its browser says where it comes from. A
        // program behind the gateway sends no Origin.
        if let origin = request.header("origin"), origin != "https://\(request.header("host") ?? "")" {
            return try connection.respond(status: 403, body: "not from that origin\n")
        }
        try ShellSession.run(try connection.upgradeToWebSocket(request))
    }

    /// `/events?count=N&interval=MS`: server-sent events, one a second unless asked otherwise.
    private func events(_ request: LocalRequest, _ connection: LocalConnection) throws {
        let count = request.parameter("count", in: 1...Int.max, else: .max)
        let interval = request.parameter("interval", in: 1...60_000, else: UInt64(1000))
        try connection.stream(status: 200, contentType: "text/event-stream", headers: [("cache-control", "no-store")]) {
            writer in
            var number = 0
            while number < count {
                if number > 0 { try writer.pause(ms: interval) }
                number += 1
                try writer.write("id: \(number)\nevent: tick\ndata: {\"tick\":\(number)}\n\n")
            }
        }
    }

    /// `/slow?ms=N`: an answer that takes its time, two minutes at most.
    private func slow(_ request: LocalRequest, _ connection: LocalConnection) throws {
        let ms = request.parameter("ms", in: 0...120_000, else: UInt64(1000))
        try connection.pause(ms: ms)
        try connection.respond(status: 200, body: "waited \(ms) ms\n")
    }

    /// `/headers`: what arrived, so that one sees what the gateway removed and set.
    private func describe(_ request: LocalRequest) -> String {
        let fields = request.headers.map { "[\(JSONText.quoted($0.name)),\(JSONText.quoted($0.value))]" }
        let target = request.path + (request.query.map { "?" + $0 } ?? "")
        return """
            {"method":\(JSONText.quoted(request.method)),"target":\(JSONText.quoted(target)),\
            "headers":[\(fields.joined(separator: ","))]}

            """
    }
}
