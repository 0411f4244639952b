import Crypto
import FoundationEssentials
import Testing

@testable import Identity

@Suite struct SpentTokensTests {
    static let now: Int64 = 1_800_000_000

    private func open(_ directory: String?, now: Int64 = now, startedAt: Int64 = now) throws -> SpentTokens {
        try SpentTokens.open(directory: directory, now: moment(now), startedAt: startedAt)
    }

    private func spend(_ tokens: SpentTokens, _ jti: String, _ session: String, issuedAt: Int64 = now)
        -> SpentTokens.Outcome
    {
        tokens.spend(jti, sessionID: session, expires: Self.now + 90, issuedAt: issuedAt, now: moment(Self.now))
    }

    @Test("a token is spent once, before and after a restart", arguments: [true, false])
    func once(_ onDisk: Bool) throws {
        try withDirectory { directory in
            let tokens = try open(onDisk ? directory : nil)
            #expect(spend(tokens, "a", "s1") == .first)
            #expect(spend(tokens, "a", "s2") == .again(sessionID: "s1"))
            #expect(spend(tokens, "b \n é", "s 3 \n") == .first)
            #expect(tokens.isSpent("a") && !tokens.isSpent("c") && tokens.sessionID(of: "a") == "s1")
            guard onDisk else { return }
            #expect(try mode(directory + "/spent-tokens") == 0o600)
            let restarted = try open(directory, startedAt: Self.now + 10)
            #expect(spend(restarted, "a", "s4") == .again(sessionID: "s1"))
            #expect(spend(restarted, "b \n é", "s4") == .again(sessionID: "s 3 \n"))
            #expect(restarted.count == 2)
        }
    }

    @Test("without a record, tokens from before the start are refused; with one they are not")
    func beginning() throws {
        try withDirectory { directory in
            let tokens = try open(directory)
            #expect(spend(tokens, "old", "s", issuedAt: Self.now - 1) == .beforeStart)
            #expect(!tokens.isSpent("old") && tokens.cannotTell(issuedAt: Self.now - 1, expires: Self.now + 90))
            #expect(spend(tokens, "new", "s", issuedAt: Self.now) == .first)
            let restarted = try open(directory, now: Self.now + 20, startedAt: Self.now + 20)
            #expect(spend(restarted, "between", "s", issuedAt: Self.now + 5) == .first)
            // What the first start had to refuse may have been spent under the lost record: still refused.
            #expect(spend(restarted, "old", "s", issuedAt: Self.now - 1) == .beforeStart)
            try FileManager.default.removeItem(atPath: directory + "/spent-tokens")
            let anew = try open(directory, now: Self.now + 30, startedAt: Self.now + 30)
            #expect(spend(anew, "between", "s", issuedAt: Self.now + 5) == .beforeStart)
        }
    }

    @Test("spent tokens are forgotten when they could not be used any more")
    func expiry() throws {
        try withDirectory { directory in
            let tokens = try open(directory)
            #expect(spend(tokens, "a", "s") == .first)
            tokens.sweep(now: moment(Self.now + 89))
            #expect(tokens.isSpent("a"))
            tokens.sweep(now: moment(Self.now + 90))
            #expect(!tokens.isSpent("a") && tokens.count == 0)
            // A start's clock may be ahead: it keeps what it reads for ten minutes at least.
            let restarted = try open(directory, now: Self.now + 90)
            #expect(restarted.isSpent("a"))
            restarted.sweep(now: moment(Self.now + 690))
            #expect(restarted.count == 0)
        }
    }

    @Test("a wall clock that jumps ahead forgets nothing, and what was forgotten is remembered as a moment")
    func jump() throws {
        try withDirectory { directory in
            let tokens = try open(directory)
            #expect(spend(tokens, "a", "s") == .first)
            tokens.sweep(now: Moment(epoch: Self.now + 10_000, steady: moment(Self.now).steady + 1))
            #expect(spend(tokens, "a", "s2") == .again(sessionID: "s"))
            // Both clocks agree; then the wall clock is set back.
            tokens.sweep(now: moment(Self.now + 100))
            #expect(!tokens.isSpent("a"))
            #expect(spend(tokens, "a", "s2") == .beforeStart)
            #expect(tokens.cannotTell(issuedAt: Self.now, expires: Self.now + 90))
            #expect(!tokens.cannotTell(issuedAt: Self.now, expires: Self.now + 91))
            // The moment outlives the lines that it stands for.
            for index in 0..<1500 {
                _ = tokens.spend(
                    "x\(index)", sessionID: "s", expires: Self.now + 101, issuedAt: Self.now,
                    now: moment(Self.now + 100))
            }
            tokens.sweep(now: moment(Self.now + 300))
            let restarted = try open(directory, now: Self.now + 5)
            #expect(restarted.count == 0)
            #expect(restarted.cannotTell(issuedAt: Self.now, expires: Self.now + 101))
            #expect(!restarted.cannotTell(issuedAt: Self.now, expires: Self.now + 102))
        }
    }

    @Test("a record that was begun under a clock ahead refuses nobody once the clock is right")
    func begunAhead() throws {
        try withDirectory { directory in
            let ahead = try open(directory, now: Self.now + 9000, startedAt: Self.now + 9000)
            #expect(spend(ahead, "a", "s", issuedAt: Self.now + 5) == .beforeStart)
            ahead.sweep(now: Moment(epoch: Self.now + 5, steady: moment(Self.now).steady + 9001))
            #expect(spend(ahead, "a", "s", issuedAt: Self.now + 5) == .first)
            let restarted = try open(directory, now: Self.now + 20, startedAt: Self.now + 20)
            #expect(spend(restarted, "b", "s", issuedAt: Self.now + 6) == .first)
        }
    }

    @Test("a torn last line is cut off, whatever its length")
    func tornLine() throws {
        try withDirectory { directory in
            let path = directory + "/spent-tokens"
            #expect(spend(try open(directory), "a", "s1") == .first)
            let whole = try contents(path)
            #expect(spend(try open(directory), "b", "s2") == .first)
            let both = try contents(path)
            for size in whole.count..<both.count {
                try write(Array(both[..<size]), path)
                let tokens = try open(directory)
                #expect(tokens.isSpent("a") && !tokens.isSpent("b"))
                #expect(spend(tokens, "c", "s3") == .first)
                #expect(try open(directory).count == 2, "size \(size)")
            }
        }
    }

    @Test("damaged lines are skipped and counted, the others hold")
    func damagedLines() throws {
        try withDirectory { directory in
            let path = directory + "/spent-tokens"
            #expect(spend(try open(directory), "a", "s1") == .first)
            try write(contents(path) + Array("x y z\n\n12 AB= .\n99999999999 YQ YQ extra\n\0\0\n".utf8), path)
            #expect(spend(try open(directory), "b", "s2") == .first)
            let tokens = try open(directory, startedAt: Self.now + 10)
            #expect(tokens.count == 2 && tokens.damagedLines == 5)
            #expect(spend(tokens, "c", "s3", issuedAt: Self.now + 9) == .beforeStart)
            #expect(spend(tokens, "c", "s3", issuedAt: Self.now + 10) == .first)
        }
    }

    @Test("random damage never crashes")
    func randomDamage() throws {
        var random = SeededGenerator(state: 9)
        try withDirectory { directory in
            let path = directory + "/spent-tokens"
            let tokens = try open(directory)
            for index in 0..<20 { _ = spend(tokens, "token-\(index)", "session-\(index)") }
            let good = try contents(path)
            for _ in 0..<200 {
                try write(mutated(good, &random), path)
                guard let damaged = try? open(directory) else { continue }
                _ = spend(damaged, "x", "y")
                damaged.sweep(now: moment(Self.now))
            }
        }
    }

    @Test("a file of another kind is an error, an empty one counts as missing")
    func foreignFile() throws {
        try withDirectory { directory in
            let path = directory + "/spent-tokens"
            for text in ["something else\n", "zlh-edge revocations 1 5\n", "zlh-edge spent-tokens 2 5\n", "x"] {
                try write(Array(text.utf8), path)
                let error = try #require(throws: StateError.self) { try open(directory) }
                #expect(error.reason.contains("move it away"))
                #expect(try contents(path) == Array(text.utf8))
            }
            try write([], path)
            #expect(spend(try open(directory), "a", "s", issuedAt: Self.now - 1) == .beforeStart)
            try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: path)
            #expect(throws: StateError.self) { try open(directory) }
        }
        #expect(throws: StateError.self) { try open("/nonexistent/state") }
    }

    @Test("two processes spend each token once between them, also across a rewrite")
    func shared() throws {
        try withDirectory { directory in
            let old = try open(directory)
            let new = try open(directory)
            #expect(spend(old, "a", "s1") == .first)
            #expect(spend(new, "a", "s2") == .again(sessionID: "s1"))
            // Thousands that expire at once make the file worth rewriting.
            for index in 0..<1500 {
                #expect(
                    old.spend(
                        "x\(index)", sessionID: "s", expires: Self.now + 1, issuedAt: Self.now, now: moment(Self.now))
                        == .first)
            }
            let before = try contents(directory + "/spent-tokens").count
            old.sweep(now: moment(Self.now + 2))
            #expect(try contents(directory + "/spent-tokens").count < before / 100)
            #expect(spend(old, "b", "s3") == .first)
            #expect(spend(new, "b", "s4") == .again(sessionID: "s3"))
            #expect(spend(new, "c", "s5") == .first)
            #expect(spend(old, "c", "s6") == .again(sessionID: "s5"))
            new.sweep(now: moment(Self.now + 2))
            #expect(try open(directory, now: Self.now + 2).count == 3)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["spent-tokens"])
        }
    }

    @Test("many threads of several processes, rewriting all the time, spend each token once")
    func contention() async throws {
        let directory = FileManager.default.temporaryDirectory.path + "/zlh-identity-" + Random.id()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let processes = try (0..<4).map { _ in try open(directory) }
        let firsts = await withTaskGroup(of: Int.self) { group in
            for task in 0..<8 {
                group.addTask {
                    var firsts = 0
                    for index in 0..<2000 {
                        let expires = Self.now + (index % 3 == 0 ? 100 : 1000)
                        let outcome = processes[task % 4].spend(
                            "t\(index)", sessionID: "s", expires: expires, issuedAt: Self.now, now: moment(Self.now))
                        if outcome == .first { firsts += 1 }
                        if index % 500 == task { processes[task % 4].sweep(now: moment(Self.now)) }
                    }
                    return firsts
                }
            }
            return await group.reduce(0, +)
        }
        #expect(firsts == 2000)
        #expect(processes.allSatisfy { $0.failure == nil })
        #expect(try open(directory).count == 2000)
    }

    @Test("a process that was stopped with the lock in hand delays one launch, and the disk catches up later")
    func stoppedHolder() throws {
        try withDirectory { directory in
            let tokens = try open(directory)
            let holder = try OpenFile(directory + "/spent-tokens", OpenFile.appending)
            try holder.lock(attempts: 1)
            #expect(spend(tokens, "a", "s1") == .first)
            #expect(tokens.failure?.reason.contains("cannot be locked") == true)
            for index in 0..<100 { #expect(spend(tokens, "b\(index)", "s") == .first) }
            #expect(spend(tokens, "a", "s2") == .again(sessionID: "s1"))
            holder.unlock()
            tokens.sweep(now: moment(Self.now))
            #expect(tokens.failure == nil)
            #expect(try open(directory).count == 101)
        }
    }

    @Test("when the file is removed or cut under us, memory holds, and the next sweep writes it anew")
    func diskTrouble() throws {
        try withDirectory { directory in
            let path = directory + "/spent-tokens"
            let tokens = try open(directory)
            #expect(spend(tokens, "a", "s1") == .first)
            try FileManager.default.removeItem(atPath: path)
            #expect(spend(tokens, "b", "s2") == .first)
            #expect(tokens.failure != nil)
            #expect(spend(tokens, "a", "s3") == .again(sessionID: "s1"))
            tokens.sweep(now: moment(Self.now))
            #expect(tokens.failure == nil)
            #expect(try open(directory).count == 2)
            try write([], path)
            #expect(spend(tokens, "c", "s3") == .first)
            tokens.sweep(now: moment(Self.now))
            #expect(tokens.failure == nil)
            #expect(spend(tokens, "d", "s3") == .first)
            #expect(try open(directory).count == 4)
        }
    }
}
