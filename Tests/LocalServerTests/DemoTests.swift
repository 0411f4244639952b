import Glibc
import LocalServer
import Testing
import Wire

@testable import Demo

@Suite(.timeLimit(.minutes(1))) struct DemoTests {
    private let container: DemoContainer

    init() throws {
        container = try DemoContainer(listening: Endpoint(address: IPAddress(ipv4: 0x7f00_0001), port: 0))
        try container.start()
    }

    private func client() throws -> RawClient { try RawClient(port: container.endpoint.port) }

    /// Reads terminal output until `text` has come.
    private func output(of client: RawClient, until text: String) throws -> String {
        var seen = ""
        while !seen.contains(text) {
            let frame = try client.frame()
            try #require(frame.first == 0x82, "closed after: \(seen)")
            seen += String(decoding: frame.payload, as: UTF8.self)
        }
        return seen
    }

    @Test func servesAPageThatFetchesNothingFromElsewhere() throws {
        defer { container.stop() }
        let client = try client()
        try client.get("/")
        let page = try client.response()
        #expect(page.status == 200)
        #expect(page.headers["content-type"] == "text/html; charset=utf-8")
        #expect(page.text.contains("<title>Demo container</title>"))
        // Every address in it is one of the container's own files.
        let addresses = page.text.matches(of: /(?:href|src)="([^"]*)"/).map { String($0.output.1) }
        #expect(Set(addresses) == ["/style.css", "/page.js", "/terminal.js", "/icon.svg"])
        for address in addresses {
            try client.get(address)
            let file = try client.response()
            #expect(file.status == 200 && !file.text.isEmpty)
            #expect(!file.text.contains("https://") && !file.text.contains("@import"))
        }
    }

    @Test func servesEachFileByReadingMethodsAlone() throws {
        defer { container.stop() }
        let client = try client()
        try client.send("POST /page.js HTTP/1.1\r\nHost: demo\r\nContent-Length: 0\r\n\r\n")
        let refused = try client.response()
        #expect(refused.status == 405 && refused.headers["allow"] == "GET, HEAD")
        try client.get("/page.css")
        #expect(try client.response().status == 404)
    }

    @Test func runsAShellOnAPseudoTerminal() throws {
        defer { container.stop() }
        let client = try client()
        try client.upgrade("/shell", "Origin: https://demo\r\n")
        try client.sendFrame(0x81, Array("resize 97 31".utf8))
        try client.sendFrame(0x82, Array("stty size; echo $TERM; tty; ls /proc/$$/fd | wc -l; echo do''ne\r".utf8))
        let seen = try output(of: client, until: "done")
        #expect(seen.contains("31 97"))
        #expect(seen.contains("xterm-256color"))
        #expect(seen.contains("/dev/pts/"))
        // 0, 1, 2 and bash's own 255: nothing of the server's.
        #expect(seen.contains("\r\n4\r\n"))
        try client.sendFrame(0x81, Array("exit\r".utf8))
        var frame = try client.frame()
        while frame.first == 0x82 { frame = try client.frame() }
        #expect(frame.first == 0x88)
        #expect(frame.payload.prefix(2) == [0x03, 0xe8])
    }

    @Test func aShellDiesWithItsWebSocket() throws {
        defer { container.stop() }
        let client = try client()
        try client.upgrade("/shell")
        try client.sendFrame(0x82, Array("trap '' HUP; echo \"pid=<$$>\"; sleep 1000\r".utf8))
        let seen = try output(of: client, until: ">\r\n")
        let number = try #require(seen.split(separator: "pid=<").last?.split(separator: ">").first)
        let pid = try #require(pid_t(number))
        #expect(kill(pid, 0) == 0)
        try client.sendFrame(0x88, [0x03, 0xe8])
        for _ in 0..<300 where kill(pid, 0) == 0 { usleep(10_000) }
        #expect(kill(pid, 0) == -1)
    }

    @Test(arguments: ["https://evil.example", "http://demo", "null", "https://demo.evil.example"])
    func refusesAShellToAnotherOrigin(origin: String) throws {
        defer { container.stop() }
        let client = try client()
        try client.get(
            "/shell",
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                + "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: \(origin)\r\n")
        #expect(try client.response().status == 403)
    }

    @Test func countsAndHashesAnUpload() throws {
        defer { container.stop() }
        let client = try client()
        // FIPS 180-2, appendix B.3: a million times "a".
        try client.send("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
        try client.send([UInt8](repeating: 0x61, count: 1_000_000))
        let digest = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"
        #expect(try client.response().text == "{\"bytes\":1000000,\"sha256\":\"\(digest)\"}\n")
        try client.send("POST /upload HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        #expect(try client.response().text.contains(empty))
    }

    @Test(arguments: ["", "&chunked=1"])
    func downloadsAPattern(query: String) throws {
        defer { container.stop() }
        let client = try client()
        try client.get("/download?bytes=600000\(query)")
        let body = try client.response().body
        #expect(body.count == 600_000)
        #expect(body.enumerated().allSatisfy { $1 == UInt8($0 % 251) })
    }

    @Test func tellsWhatArrived() throws {
        defer { container.stop() }
        let client = try client()
        try client.get("/headers?q=%22", "X-Quote: a\"b\\c\r\n")
        let text = try client.response().text
        #expect(text.contains(#""target":"/headers?q=%22""#))
        #expect(text.contains(#"["X-Quote","a\"b\\c"]"#))
    }

    @Test func sendsEvents() throws {
        defer { container.stop() }
        let client = try client()
        try client.get("/events?count=3&interval=1")
        #expect(try client.response().text.hasSuffix("id: 3\nevent: tick\ndata: {\"tick\":3}\n\n"))
    }
}

@Suite struct ShellSessionTests {
    @Test(arguments: ["80 24", "resize 0 24", "resize 80", "resize 80 70000", "resize 80 24 1", "resize -1 24"])
    func refusesOddSizes(command: String) {
        #expect(ShellSession.size(in: command) == nil)
    }
}
