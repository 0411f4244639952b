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
        let session = registry.admit(sealed(), now: moment(Self.now))
        #expect(registry.admit(sealed(), now: moment(Self.now + 5)) === session)
        #expect(session.idleSince == moment(Self.now).steady, "to admit is not to use")
        #expect(registry.admit(sealed("s2"), now: moment(Self.now)) !== session)
        // An API may give one id to a person's sessions on several containers, or launch again under it.
        #expect(registry.admit(sealed(vmid: 1102), now: moment(Self.now)) !== session)
        #expect(registry.admit(sealed(issuedAt: Self.now + 1), now: moment(Self.now)) !== session)
        #expect(registry.count == 4 && registry.list().count == 4)
    }

    @Test("activity keeps a session alive, its absence ends it, the absolute end ends it anyway")
    func idle() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: moment(Self.now))
        #expect(session.check(now: moment(Self.now + 7199), idle: 7200) == nil)
        session.touch(steady: moment(Self.now + 7000).steady)
        session.touch(steady: moment(Self.now + 10).steady)
        #expect(session.idleSince == moment(Self.now + 7000).steady, "time went backwards")
        registry.sweep(now: moment(Self.now + 14_199))
        #expect(session.ended == nil && registry.count == 1)
        registry.sweep(now: moment(Self.now + 14_200))
        #expect(session.ended == .idle && registry.count == 0)
        #expect(registry.admit(sealed(), now: moment(Self.now + 14_201)).ended == .idle)

        let busy = registry.admit(sealed("s2"), now: moment(Self.now))
        busy.touch(steady: moment(Self.now + 43_199).steady)
        #expect(busy.check(now: moment(Self.now + 43_199), idle: 7200) == nil)
        #expect(busy.check(now: moment(Self.now + 43_200), idle: 7200) == .expired)
    }

    @Test("an ended session stays ended, here and after a restart, until its cookie is over")
    func logout() throws {
        try withDirectory { directory in
            let registry = try SessionRegistry.open(directory: directory, limits: Self.limits, now: moment(Self.now))
            let session = registry.admit(sealed(), now: moment(Self.now))
            registry.end(session, .loggedOut, now: moment(Self.now))
            registry.end(session, .revoked, now: moment(Self.now))
            #expect(session.ended == .loggedOut && registry.list().isEmpty)
            #expect(registry.admit(sealed(), now: moment(Self.now)).ended == .loggedOut)
            registry.sweep(now: moment(Self.now + 1))
            #expect(registry.count == 0)
            #expect(registry.admit(sealed(), now: moment(Self.now + 2)).ended == .loggedOut)
            #expect(try mode(directory + "/ended-sessions") == 0o600)

            let restarted = try SessionRegistry.open(
                directory: directory, limits: Self.limits, now: moment(Self.now + 10))
            #expect(restarted.admit(sealed(), now: moment(Self.now + 10)).ended == .loggedOut)
            #expect(restarted.count == 0)
            // A new launch under the same id is another session.
            #expect(restarted.admit(sealed(issuedAt: Self.now + 60), now: moment(Self.now + 60)).ended == nil)
            restarted.sweep(now: moment(Self.now + 43_200))
            #expect(try contents(directory + "/ended-sessions").count < 200)
        }
    }

    @Test("an idle session does not come back by a restart")
    func idleRestart() throws {
        try withDirectory { directory in
            let registry = try SessionRegistry.open(directory: directory, limits: Self.limits, now: moment(Self.now))
            _ = registry.admit(sealed(), now: moment(Self.now))
            registry.sweep(now: moment(Self.now + 7200))
            let restarted = try SessionRegistry.open(
                directory: directory, limits: Self.limits, now: moment(Self.now + 7300))
            #expect(restarted.admit(sealed(), now: moment(Self.now + 7300)).ended == .idle)
        }
    }

    @Test("a clock that is ahead for a moment ends no session for good")
    func jump() throws {
        try withDirectory { directory in
            let registry = try SessionRegistry.open(directory: directory, limits: Self.limits, now: moment(Self.now))
            let session = registry.admit(sealed(), now: moment(Self.now))
            registry.sweep(now: Moment(epoch: Self.now + 10_000, steady: moment(Self.now + 1).steady))
            #expect(session.ended == nil)
            registry.sweep(now: Moment(epoch: Self.now + 50_000, steady: moment(Self.now + 2).steady))
            #expect(session.ended == .expired)
            #expect(registry.admit(sealed(), now: moment(Self.now + 3)).ended == nil)
            let restarted = try SessionRegistry.open(
                directory: directory, limits: Self.limits, now: moment(Self.now + 4))
            #expect(restarted.admit(sealed(), now: moment(Self.now + 4)).ended == nil)
        }
    }

    @Test("processes that share a directory hear of each other's endings and traffic")
    func shared() throws {
        try withDirectory { directory in
            let registries = try (0..<2).map { _ in
                try SessionRegistry.open(directory: directory, limits: Self.limits, now: moment(Self.now))
            }
            let sessions = registries.map { $0.admit(sealed(), now: moment(Self.now)) }
            for second in stride(from: Int64(0), to: 20_000, by: 500) {
                sessions[1].touch(steady: moment(Self.now + second).steady)
                registries[1].sweep(now: moment(Self.now + second))
                registries[0].sweep(now: moment(Self.now + second))
            }
            #expect(sessions.allSatisfy { $0.ended == nil && $0.isUsed || $0 === sessions[1] })
            // The third comes late, and knows when the session was used.
            let late = try SessionRegistry.open(
                directory: directory, limits: Self.limits, now: moment(Self.now + 26_000))
            #expect(late.admit(sealed(), now: moment(Self.now + 26_000)).ended == nil)
            #expect(late.admit(sealed(), now: moment(Self.now + 26_000)).idleSince <= moment(Self.now + 19_500).steady)
            registries[0].end(sessions[0], .loggedOut, now: moment(Self.now + 20_000))
            #expect(registries[1].readOthers(now: moment(Self.now + 20_000)) == 1)
            #expect(registries[1].readOthers(now: moment(Self.now + 20_000)) == 0)
            #expect(sessions[1].ended == .loggedOut)
        }
    }

    @Test("one that was evicted hears of the end of its successor")
    func evicted() {
        let registry = SessionRegistry(limits: Self.limits, capacity: 16)
        let sessions = (0..<100).map { registry.admit(sealed("s\($0)"), now: moment(Self.now)) }
        let old = sessions.first { $0.isEvicted }!
        #expect(registry.reasonEnded(old) == nil)
        registry.end(registry.admit(old.sealed, now: moment(Self.now)), .loggedOut, now: moment(Self.now))
        #expect(registry.reasonEnded(old) == .loggedOut)
    }

    @Test("an end for another generation or by time is not remembered: route and cookie say it again")
    func notRemembered() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: moment(Self.now))
        registry.end(session, .generation, now: moment(Self.now))
        registry.sweep(now: moment(Self.now + 1))
        #expect(registry.count == 0)
        #expect(registry.admit(sealed(), now: moment(Self.now + 2)).ended == nil)
    }

    @Test("a revocation ends the sessions it covers and no others")
    func revocation() {
        let registry = SessionRegistry(limits: Self.limits)
        let sessions = (0..<40).map { registry.admit(sealed("s\($0)", vmid: 1100 + $0 % 4), now: moment(Self.now)) }
        #expect(
            registry.end(
                coveredBy: Revocations([.vmid(1101, before: Self.now + 1), .session("s4")]), now: moment(Self.now))
                == 11)
        #expect(sessions.filter { $0.ended == .revoked }.count == 11)
        #expect(sessions[4].ended == .revoked && sessions[1].ended == .revoked && sessions[0].ended == nil)
        #expect(registry.end(coveredBy: Revocations(), now: moment(Self.now)) == 0)
    }

    @Test("it stays within its capacity and forgets the longest unused first")
    func capacity() {
        let registry = SessionRegistry(limits: Self.limits, capacity: 160)
        for index in 0..<2000 { _ = registry.admit(sealed("s\(index)"), now: moment(Self.now + Int64(index))) }
        #expect(registry.count <= 160 && registry.list().count == registry.count)
        #expect(registry.list().allSatisfy { $0.idleSince > moment(Self.now + 1000).steady })
        // What was forgotten is not ended.
        #expect(registry.admit(sealed("s0"), now: moment(Self.now + 3000)).ended == nil)
    }

    @Test("changed limits hold for sessions there are")
    func changedLimits() {
        let registry = SessionRegistry(limits: Self.limits)
        let session = registry.admit(sealed(), now: moment(Self.now))
        registry.setLimits(SessionLimits(absolute: 43_200, idle: 60))
        registry.sweep(now: moment(Self.now + 60))
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
                        let session = registry.admit(sealed("s\(round % 50)"), now: moment(Self.now))
                        session.touch(steady: moment(Self.now + Int64(round)).steady)
                        if round % 50 < 10 { registry.end(session, .loggedOut, now: moment(Self.now)) }
                        if round % 100 == task { registry.sweep(now: moment(Self.now + 1)) }
                    }
                }
            }
        }
        registry.sweep(now: moment(Self.now + 1))
        #expect(registry.count == 40)
        for index in 0..<50 {
            #expect((registry.admit(sealed("s\(index)"), now: moment(Self.now)).ended == .loggedOut) == (index < 10))
        }
    }
}
