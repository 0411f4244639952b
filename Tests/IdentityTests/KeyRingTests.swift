import Crypto
import FoundationEssentials
import Testing
import Wire

@testable import Identity

extension KeyRing.Keys {
    fileprivate func seal(_ session: SealedSession, _ host: String) -> [UInt8] {
        var out = ByteBuffer()
        seal(session, host: Array(host.utf8).span, into: &out)
        return out.withReadable { bytes in (0..<bytes.count).map { bytes[$0] } }
    }

    fileprivate func open(_ cookie: [UInt8], _ host: String) -> SealedSession? {
        open(cookie.span, host: Array(host.utf8).span)
    }
}

@Suite struct KeyRingTests {
    static let now: Int64 = 1_800_000_000
    static let day: Int64 = 86_400
    static let host = "dev-1101.zerolaghub.dev"
    static let session = SealedSession(
        id: "session-1", user: "Zoë", vmid: 1101, generation: "01JD3K", issuedAt: now - 5, absoluteEnd: now + 43_200)

    private func ring(_ directory: String, now: Int64 = now, absolute: Int64 = 43_200) throws -> KeyRing {
        try KeyRing.load(directory: directory, now: now, absolute: absolute)
    }

    @Test("a cookie opens with its host and its key only")
    func sealing() throws {
        try withDirectory { directory in
            let keys = try ring(directory).keys
            let cookie = keys.seal(Self.session, Self.host)
            #expect(cookie.starts(with: "v1.\(keys.entries[0].id).".utf8))
            #expect(cookie.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3b && $0 != 0x2c && $0 != 0x22 })
            #expect(keys.open(cookie, Self.host) == Self.session)
            for host in ["dev-1102.zerolaghub.dev", "DEV-1101.zerolaghub.dev", "", Self.host + "."] {
                #expect(keys.open(cookie, host) == nil)
            }
            #expect(keys.seal(Self.session, Self.host) != cookie, "a nonce was used twice")
            let other = KeyRing.Keys([.init(created: Self.now)])
            #expect(other.open(cookie, Self.host) == nil)
            let sameName = KeyRing.Keys([
                .init(id: keys.entries[0].id, created: Self.now, secret: Random.bytes(32))
            ])
            #expect(sameName.open(cookie, Self.host) == nil)
        }
    }

    @Test("no byte of a cookie can be changed, cut or added")
    func tampering() {
        let keys = KeyRing.Keys([.init(created: Self.now)])
        let cookie = keys.seal(Self.session, Self.host)
        for at in cookie.indices {
            for change: UInt8 in [1, 2, 4, 8, 16, 32, 64, 128] {
                var bad = cookie
                bad[at] ^= change
                #expect(keys.open(bad, Self.host) == nil, "byte \(at)")
            }
            #expect(keys.open(Array(cookie[..<at]), Self.host) == nil)
            #expect(keys.open(Array(cookie[at...].dropFirst()), Self.host) == nil)
        }
        for tail in ["A", "AA", "=", ".", " ", ".AAAA"] {
            #expect(keys.open(cookie + Array(tail.utf8), Self.host) == nil)
        }
        #expect(keys.open([UInt8](repeating: 0x41, count: 100_000), Self.host) == nil)
    }

    @Test("random bytes never open and never crash")
    func noise() {
        var random = SeededGenerator(state: 5)
        let keys = KeyRing.Keys([.init(created: Self.now)])
        let cookie = keys.seal(Self.session, Self.host)
        for _ in 0..<5000 {
            let bytes = mutated(cookie, &random)
            if bytes != cookie { #expect(keys.open(bytes, Self.host) == nil) }
        }
        for length in 0..<80 { #expect(SealedSession(bytes: Random.bytes(length)) == nil || length > 21) }
    }

    @Test("what is sealed comes back whole", arguments: ["", "a", String(repeating: "é", count: 700)])
    func wholeness(_ text: String) {
        let session = SealedSession(
            id: text, user: text + "u", vmid: .max, generation: text, issuedAt: .min, absoluteEnd: .max)
        #expect(SealedSession(bytes: session.bytes) == session)
        for count in 0..<session.bytes.count {
            #expect(SealedSession(bytes: Array(session.bytes.prefix(count))) == nil)
        }
        #expect(SealedSession(bytes: session.bytes + [0]) == nil)
    }

    @Test("the file is private, and a restart or a standby opens the same cookies")
    func restart() throws {
        try withDirectory { directory in
            let first = try ring(directory)
            let path = directory + "/session-keys.json"
            #expect(try mode(path) == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["session-keys.json"])
            let cookie = first.keys.seal(Self.session, Self.host)
            #expect(try ring(directory).keys.open(cookie, Self.host) == Self.session)
        }
    }

    @Test("a new key takes over each day; old ones go when no cookie can need them")
    func rotation() throws {
        try withDirectory { directory in
            let ring = try ring(directory)
            let standby = try self.ring(directory)
            let cookie = ring.keys.seal(Self.session, Self.host)
            let first = ring.keys.entries[0].id
            #expect(try !ring.rotateIfDue(now: moment(Self.now + Self.day - 1)))
            #expect(try ring.rotateIfDue(now: moment(Self.now + Self.day)))
            #expect(ring.keys.entries.map(\.id).first == first && ring.keys.entries.count == 2)
            #expect(ring.keys.open(cookie, Self.host) == Self.session)
            #expect(
                ring.keys.seal(Self.session, Self.host).starts(with: "v1.\(first)".utf8), "others have yet to read it")
            #expect(try !ring.maintain(now: moment(Self.now + Self.day + 3)))
            let fresh = ring.keys.seal(Self.session, Self.host)
            #expect(!fresh.starts(with: "v1.\(first)".utf8))

            #expect(standby.keys.open(fresh, Self.host) == nil)
            #expect(try standby.reloadIfChanged())
            #expect(try !standby.reloadIfChanged())
            #expect(standby.keys.open(fresh, Self.host) == Self.session)
            // Both see that it is due; the second finds it done.
            #expect(try !standby.rotateIfDue(now: moment(Self.now + Self.day + 1)))

            // The first key's last cookie was sealed at the rotation and lives for 12 h, and there is an hour of slack.
            #expect(try !ring.rotateIfDue(now: moment(Self.now + Self.day + 46_799)))
            #expect(try !ring.rotateIfDue(now: moment(Self.now + Self.day + 46_800)), "the clock may be wrong")
            #expect(try ring.rotateIfDue(now: moment(Self.now + Self.day + 47_400)))
            #expect(ring.keys.entries.count == 1)
            #expect(ring.keys.open(cookie, Self.host) == nil)
            #expect(ring.keys.open(fresh, Self.host) == Self.session)
        }
    }

    @Test("as many old keys are kept as the absolute end needs")
    func longSessions() throws {
        try withDirectory { directory in
            let ring = try ring(directory, absolute: 10 * Self.day)
            for day in 1...30 {
                let midnight = moment(Self.now + Int64(day) * Self.day)
                for second: Int64 in [0, 601] { try ring.rotateIfDue(now: midnight + second) }
            }
            #expect(ring.keys.entries.count == 12)
            ring.setAbsolute(Self.day)
            for second: Int64 in [602, 1203] { try ring.rotateIfDue(now: moment(Self.now + 30 * Self.day + second)) }
            #expect(ring.keys.entries.count == 3)
        }
    }

    @Test("two processes that start at once agree on one ring")
    func race() async throws {
        let directory = try withDirectory { $0 }
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let ids = try await withThrowingTaskGroup(of: [String].self) { group in
            for _ in 0..<8 { group.addTask { try self.ring(directory).keys.entries.map(\.id) } }
            return try await group.reduce(into: Set<[String]>()) { $0.insert($1) }
        }
        #expect(ids.count == 1)
    }

    @Test("a key from the far future does not stop rotation")
    func clock() throws {
        try withDirectory { directory in
            let ring = try ring(directory, now: Self.now + 1000 * Self.day)
            #expect(try ring.rotateIfDue(now: moment(Self.now)))
            #expect(try !ring.rotateIfDue(now: moment(Self.now + 1)))
        }
    }

    @Test("a clock that is a year ahead for a moment makes a key and drops none")
    func jump() throws {
        try withDirectory { directory in
            let ring = try ring(directory)
            let cookie = ring.keys.seal(Self.session, Self.host)
            for second: Int64 in 0..<5 {
                let ahead = Moment(epoch: Self.now + 365 * Self.day, steady: moment(Self.now).steady + second)
                _ = try ring.maintain(now: ahead)
            }
            for second: Int64 in 5..<700 { _ = try ring.maintain(now: moment(Self.now + second)) }
            #expect(ring.keys.open(cookie, Self.host) == Self.session)
            #expect(try self.ring(directory).keys.open(cookie, Self.host) == Self.session)
            #expect(ring.keys.entries.count <= 3)
        }
    }

    @Test("a clock that is a year behind for a moment, as before the network is up, drops no key")
    func jumpBack() throws {
        try withDirectory { directory in
            let ring = try ring(directory)
            let start = Self.now + 20 * 3600
            let cookie = ring.keys.seal(Self.session, Self.host)
            for second: Int64 in 0..<5 {
                let behind = Moment(epoch: start - 365 * Self.day, steady: moment(start).steady + second)
                _ = try ring.maintain(now: behind)
            }
            for second: Int64 in 5..<700 { _ = try ring.maintain(now: moment(start + second)) }
            #expect(ring.keys.open(cookie, Self.host) == Self.session)
            for day: Int64 in 1...3 {
                for second: Int64 in [0, 601] { _ = try ring.maintain(now: moment(start + day * Self.day + second)) }
            }
            #expect(ring.keys.open(cookie, Self.host) == nil && ring.keys.entries.count <= 3)
        }
    }

    @Test("a ring whose file is removed under it is written anew")
    func removed() throws {
        try withDirectory { directory in
            let ring = try ring(directory)
            let cookie = ring.keys.seal(Self.session, Self.host)
            try FileManager.default.removeItem(atPath: directory + "/session-keys.json")
            _ = try ring.maintain(now: moment(Self.now + 1))
            #expect(try self.ring(directory).keys.open(cookie, Self.host) == Self.session)
        }
    }

    @Test(
        "a damaged ring is an error that says what to do, and changes nothing that runs",
        arguments: [
            "", "{", "{}", #"{"keys":[]}"#, #"{"keys":[{"kid":"a"}]}"#,
            #"{"keys":[{"kid":"AAAA","created":1,"key":"AAAA"}]}"#, "\0\0\0\0",
        ])
    func damage(_ text: String) throws {
        try withDirectory { directory in
            let ring = try ring(directory)
            let cookie = ring.keys.seal(Self.session, Self.host)
            try write(Array(text.utf8), directory + "/session-keys.json")
            let error = try #require(throws: StateError.self) { try self.ring(directory) }
            #expect(error.description.contains("session-keys.json: damaged"))
            #expect(throws: StateError.self) { try ring.reloadIfChanged() }
            #expect(ring.keys.open(cookie, Self.host) == Self.session)
            #expect(try contents(directory + "/session-keys.json") == Array(text.utf8), "it was overwritten")
        }
    }

    @Test("a ring that others could read is refused")
    func permissions() throws {
        try withDirectory { directory in
            _ = try ring(directory)
            let path = directory + "/session-keys.json"
            try FileManager.default.setAttributes([.posixPermissions: 0o640], ofItemAtPath: path)
            let error = try #require(throws: StateError.self) { try self.ring(directory) }
            #expect(error.reason.contains("0640"))
            try FileManager.default.removeItem(atPath: path)
            try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: "/etc/hostname")
            #expect(throws: StateError.self) { try self.ring(directory) }
        }
    }
}
