import Glibc
import LocalServer
import Testing

@Suite(.timeLimit(.minutes(1))) struct UnixSocketTests {
    private let path = "/tmp/zlh-local-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).sock"

    private func mode() -> UInt32? {
        var status = stat()
        return unsafe lstat(path, &status) == 0 ? status.st_mode & 0o7777 : nil
    }

    @Test func servesOurOwnUserOnAPrivateSocketAndRemovesIt() throws {
        let server = try LocalServer(listening: .unix(path: path), handler: EchoHandler())
        try server.start()
        #expect(mode() == 0o600)
        #expect(server.port == 0)
        let client = try RawClient(path: path)
        try client.get("/head?unix")
        #expect(try client.response().text == "GET unix none")
        server.stop()
        #expect(mode() == nil)
    }

    @Test func aSuccessorTakesTheNameOver() throws {
        let first = try LocalServer(listening: .unix(path: path), handler: EchoHandler())
        try first.start()
        let old = try RawClient(path: path)
        try old.get("/head?1")
        #expect(try old.response().status == 200)
        let second = try LocalServer(listening: .unix(path: path), handler: EchoHandler())
        try second.start()
        first.stop()
        let new = try RawClient(path: path)
        try new.get("/head?2")
        #expect(try new.response().text == "GET 2 none")
        second.stop()
        #expect(mode() == nil)
    }

    @Test func neverReplacesAFileThatIsNoSocket() throws {
        let file = unsafe open(path, O_CREAT | O_WRONLY, 0o644)
        try #require(file >= 0)
        close(file)
        defer { _ = unsafe unlink(path) }
        #expect(throws: LocalError.self) {
            try LocalServer(listening: .unix(path: path), handler: EchoHandler())
        }
        #expect(mode() == 0o644)
    }
}
