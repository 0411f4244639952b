import Testing

@testable import Identity

@Suite struct RevocationsTests {
    private func covers(_ rules: [Revocations.Rule], issuedAt: Int64 = 100) -> Bool {
        Revocations(rules).covers(sessionID: "s1", user: "alice", vmid: 1101, issuedAt: issuedAt)
    }

    @Test(
        "a rule covers what it names, issued before its time",
        arguments: [
            ([], false), ([.session("s1")], true), ([.session("s2")], false), ([.user("alice", before: nil)], true),
            ([.user("bob", before: nil)], false), ([.user("Alice", before: nil)], false),
            ([.user("alice", before: 101)], true), ([.user("alice", before: 100)], false),
            ([.vmid(1101, before: nil)], true), ([.vmid(1102, before: nil)], false), ([.vmid(1101, before: 101)], true),
            ([.vmid(1101, before: 100)], false), ([.user("alice", before: 50), .user("alice", before: 101)], true),
            ([.user("alice", before: nil), .user("alice", before: 50)], true),
            ([.vmid(1101, before: 101), .vmid(1101, before: 3)], true),
            ([.session("s2"), .user("bob", before: nil), .vmid(1101, before: 7)], false),
        ] as [([Revocations.Rule], Bool)])
    func rules(_ rules: [Revocations.Rule], _ expected: Bool) {
        #expect(covers(rules) == expected)
        #expect(Revocations(rules).isEmpty == rules.isEmpty)
    }

    @Test("a token without a session id is covered by user and container only")
    func noSession() {
        let rules = Revocations([.session("s1")])
        #expect(!rules.covers(sessionID: nil, user: "s1", vmid: 1, issuedAt: 0))
    }

    @Test("the store keeps rules across restarts until their time has passed")
    func store() throws {
        let rules: [Revocations.Rule] = [
            .session("a b\nc"), .session("-"), .user("alice", before: nil), .user("alice", before: 100),
            .user("4 user", before: -1), .vmid(1101, before: nil), .vmid(.max, before: .max),
        ]
        try withDirectory { directory in
            let store = try RevocationStore.open(directory: directory, now: moment(1000))
            for rule in rules { try store.add(rule, keepUntil: 2000, now: moment(1000)) }
            try store.add(.session("short"), keepUntil: 1500, now: moment(1000))
            #expect(try mode(directory + "/revocations") == 0o600)
            let restarted = try RevocationStore.open(directory: directory, now: moment(1001))
            #expect(Set(restarted.rules) == Set(rules + [.session("short")]))
            #expect(!restarted.sweep(now: moment(1499)))
            #expect(restarted.sweep(now: moment(1500)))
            #expect(Set(restarted.rules) == Set(rules))
            #expect(try RevocationStore.open(directory: directory, now: moment(2000)).rules.isEmpty)
        }
    }

    @Test("a rule added again stays longer, and other processes see it")
    func again() throws {
        try withDirectory { directory in
            let store = try RevocationStore.open(directory: directory, now: moment(0))
            let other = try RevocationStore.open(directory: directory, now: moment(0))
            try store.add(.session("a"), keepUntil: 100, now: moment(0))
            try store.add(.session("a"), keepUntil: 200, now: moment(0))
            try store.add(.session("a"), keepUntil: 50, now: moment(0))
            #expect(other.readOthers(now: moment(1)))
            #expect(!other.sweep(now: moment(1)))
            #expect(!other.sweep(now: moment(199)))
            #expect(other.rules == [.session("a")])
            #expect(try RevocationStore.open(directory: directory, now: moment(150)).rules == [.session("a")])
        }
    }
}
