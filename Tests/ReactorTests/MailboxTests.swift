import Testing

@testable import Reactor

@Suite struct MailboxTests {
    @Test func wakesTheLoopAndKeepsTheOrder() throws {
        let loop = try EventLoop()
        let mailbox = try Mailbox<Int>()
        var got: [Int] = []
        try mailbox.deliver(on: loop) { got.append($0) }
        try loop.turn(waitAtMostMs: 0)
        for round in 0..<3 {
            for value in 0..<5 { mailbox.post(round * 5 + value) }
            try loop.turn(waitAtMostMs: 60_000)
        }
        #expect(got == Array(0..<15))
    }

    /// Another thread posts while the loop takes: nothing is lost, and the loop never sleeps over a message.
    @Test(.timeLimit(.minutes(1)))
    func nothingIsLostBetweenThreads() throws {
        let loop = try EventLoop()
        let mailbox = try Mailbox<Int>()
        var got: [Int] = []
        try mailbox.deliver(on: loop) { got.append($0) }
        let count = 20_000
        try Thread.start("poster") {
            for value in 0..<count { mailbox.post(value) }
        }
        while got.count < count { try loop.turn(waitAtMostMs: 60_000) }
        #expect(got == Array(0..<count))
    }

    @Test func aThreadWithoutALoopWaits() throws {
        let mailbox = try Mailbox<Int>()
        #expect(mailbox.wait(atMostMs: 0).isEmpty)
        try Thread.start("poster") { mailbox.post(7) }
        var got: [Int] = []
        for _ in 0..<100 where got.isEmpty { got = mailbox.wait(atMostMs: 100) }
        #expect(got == [7])
        #expect(mailbox.wait(atMostMs: 0).isEmpty)
    }
}
