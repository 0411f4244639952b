import Testing

@testable import Identity

@Suite struct SessionRegistryTests {
    static let now: Int64 = 1_800_000_000
    static let limits = SessionLimits(absolute: 43_200, idle: 7200)

    private func sealed(_ id: String = "s1", vmid: UInt32 = 1101, issuedAt: Int64 = now) -> SealedSession {
        SealedSession(
            id: id, user: "alice", vmid: vmid, generation: "g", issuedAt: issuedAt, absoluteEnd: Self.now + 43_200)
    }

    @Test("one cookie is one session, on whatever connection")
    func identity() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: Self.now)
        #expect(registry.admit(sealed(), now: Self.now + 5) === session)
        #expect(session.idleSince == Self.now, "to admit is not to use")
        #expect(registry.admit(sealed("s2"), now: Self.now) !== session)
        // An API may give one id to a person's sessions on several containers, or launch again under it.
        #expect(registry.admit(sealed(vmid: 1102), now: Self.now) !== session)
        #expect(registry.admit(sealed(issuedAt: Self.now + 1), now: Self.now) !== session)
        #expect(registry.count == 4 && registry.list().count == 4)
    }

    @Test("activity keeps a session alive, its absence ends it, the absolute end ends it anyway")
    func idle() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: Self.now)
        #expect(session.check(now: Self.now + 7199, idle: 7200) == nil)
        session.touch(now: Self.now + 7000)
        session.touch(now: Self.now + 10)
        #expect(session.idleSince == Self.now + 7000, "time went backwards")
        registry.sweep(now: Self.now + 14_199)
        #expect(session.ended == nil && registry.count == 1)
        registry.sweep(now: Self.now + 14_200)
        #expect(session.ended == .idle && registry.count == 0)
        #expect(registry.admit(sealed(), now: Self.now + 14_201).ended == .idle)

        let busy = registry.admit(sealed("s2"), now: Self.now)
        busy.touch(now: Self.now + 43_199)
        #expect(busy.check(now: Self.now + 43_199, idle: 7200) == nil)
        #expect(busy.check(now: Self.now + 43_200, idle: 7200) == .expired)
    }

    @Test("an ended session stays ended, here and after a restart, until its cookie is over")
    func logout() throws {
        try withDirectory { directory in
            let registry = try SessionRegistry.open(directory: directory, limits: Self.limits, now: Self.now)
            let session = registry.admit(sealed(), now: Self.now)
            registry.end(session, .loggedOut)
            registry.end(session, .revoked)
            #expect(session.ended == .loggedOut && registry.list().isEmpty)
            #expect(registry.admit(sealed(), now: Self.now).ended == .loggedOut)
            registry.sweep(now: Self.now + 1)
            #expect(registry.count == 0)
            #expect(registry.admit(sealed(), now: Self.now + 2).ended == .loggedOut)
            #expect(try mode(directory + "/ended-sessions") == 0o600)

            let restarted = try SessionRegistry.open(directory: directory, limits: Self.limits, now: Self.now + 10)
            #expect(restarted.admit(sealed(), now: Self.now + 10).ended == .loggedOut)
            #expect(restarted.count == 0)
            // A new launch under the same id is another session.
            #expect(restarted.admit(sealed(issuedAt: Self.now + 60), now: Self.now + 60).ended == nil)
            restarted.sweep(now: Self.now + 43_200)
            #expect(try contents(directory + "/ended-sessions").count < 200)
        }
    }

    @Test("an idle session does not come back by a restart")
    func idleRestart() throws {
        try withDirectory { directory in
            let registry = try SessionRegistry.open(directory: directory, limits: Self.limits, now: Self.now)
            _ = registry.admit(sealed(), now: Self.now)
            registry.sweep(now: Self.now + 7200)
            let restarted = try SessionRegistry.open(directory: directory, limits: Self.limits, now: Self.now + 7300)
            #expect(restarted.admit(sealed(), now: Self.now + 7300).ended == .idle)
        }
    }

    @Test("an end for another generation or by time is not remembered: route and cookie say it again")
    func notRemembered() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: Self.now)
        registry.end(session, .generation)
        registry.sweep(now: Self.now + 1)
        #expect(registry.count == 0)
        #expect(registry.admit(sealed(), now: Self.now + 2).ended == nil)
    }

    @Test("a revocation ends the sessions it covers and no others")
    func revocation() {
        let registry = SessionRegistry(limits: Self.limits)
        let sessions = (0..<40).map { registry.admit(sealed("s\($0)", vmid: 1100 + $0 % 4), now: Self.now) }
        #expect(registry.end(coveredBy: Revocations([.vmid(1101, before: Self.now + 1), .session("s4")])) == 11)
        #expect(sessions.filter { $0.ended == .revoked }.count == 11)
        #expect(sessions[4].ended == .revoked && sessions[1].ended == .revoked && sessions[0].ended == nil)
        #expect(registry.end(coveredBy: Revocations()) == 0)
    }

    @Test("it stays within its capacity and forgets the longest unused first")
    func capacity() {
        let registry = SessionRegistry(limits: Self.limits, capacity: 160)
        for index in 0..<2000 { _ = registry.admit(sealed("s\(index)"), now: Self.now + Int64(index)) }
        #expect(registry.count <= 160 && registry.list().count == registry.count)
        #expect(registry.list().allSatisfy { $0.idleSince > Self.now + 1000 })
        // What was forgotten is not ended.
        #expect(registry.admit(sealed("s0"), now: Self.now + 3000).ended == nil)
    }

    @Test("changed limits hold for sessions there are")
    func changedLimits() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: Self.now)
        registry.setLimits(SessionLimits(absolute: 43_200, idle: 60))
        registry.sweep(now: Self.now + 60)
        #expect(session.ended == .idle)
    }

    @Test("claims become a session that ends at the sooner of both ends")
    func fromClaims() {
        var claims = LaunchClaims(
            issuer: "i", subject: "bob", vmid: 7, tokenID: "j", issuedAt: Self.now - 3, expires: Self.now + 50)
        let limits = SessionLimits(absolute: 100, idle: 10)
        let random = SealedSession(claims: claims, generation: "g", limits: limits, now: Self.now)
        #expect(random.id.utf8.count == 22 && random.absoluteEnd == Self.now + 100 && random.issuedAt == Self.now - 3)
        claims.sessionID = "chosen"
        claims.sessionEnd = Self.now + 40
        let named = SealedSession(claims: claims, generation: "g", limits: limits, now: Self.now)
        #expect(named.id == "chosen" && named.absoluteEnd == Self.now + 40 && named.user == "bob" && named.vmid == 7)
        claims.sessionEnd = Self.now + 4000
        let forever = SealedSession(
            claims: claims, generation: "g", limits: SessionLimits(absolute: .max, idle: 1), now: Self.now)
        #expect(forever.absoluteEnd == Self.now + 4000)
    }

    @Test("loops that use, end and sweep at once agree in the end")
    func concurrency() async {
        let registry = SessionRegistry(limits: Self.limits)
        await withTaskGroup(of: Void.self) { group in
            for task in 0..<8 {
                group.addTask {
                    for round in 0..<500 {
                        let session = registry.admit(sealed("s\(round % 50)"), now: Self.now)
                        session.touch(now: Self.now + Int64(round))
                        if round % 50 < 10 { registry.end(session, .loggedOut) }
                        if round % 100 == task { registry.sweep(now: Self.now + 1) }
                    }
                }
            }
        }
        registry.sweep(now: Self.now + 1)
        #expect(registry.count == 40)
        for index in 0..<50 {
            #expect((registry.admit(sealed("s\(index)"), now: Self.now).ended == .loggedOut) == (index < 10))
        }
    }
}
