import Testing

@testable import HTTP2

@Suite struct FrameGuardTests {
    private static func verdict(_ frames: [Frame], closed: [UInt32] = [], then: [Frame] = []) -> FrameGuard.Verdict {
        var guardian = FrameGuard(HTTP2Settings(newStreams: 1000))
        let first = guardian.scan((Frame.preface + frames.flatMap(\.bytes))[...])
        guard first.verdict == .pass else { return first.verdict }
        for id in closed { guardian.closed(id) }
        return guardian.scan(then.flatMap(\.bytes)[...]).verdict
    }

    /// RFC 9113 sections 5.1 and 5.1.1.
    static let rows: [(first: [Frame], closed: [UInt32], then: [Frame], verdict: FrameGuard.Verdict)] = [
        ([.get(1)], [], [.data(1, [1])], .violation(.streamClosed)),
        ([.get(1)], [], [.get(1)], .violation(.streamClosed)),
        ([.get(1)], [1], [.data(1, [1])], .violation(.streamClosed)),
        ([.post(1), .reset(1)], [1], [.data(1, [1])], .violation(.streamClosed)),
        ([.post(1), .reset(1)], [], [.get(1)], .violation(.streamClosed)),
        ([.get(5)], [], [.get(3)], .violation(.protocolError)),
        ([.get(5)], [], [.data(3, [1])], .violation(.streamClosed)),
        ([.post(1), .data(1, [], ends: true)], [], [.data(1, [1])], .violation(.streamClosed)),
        ([.post(1), .headers(1, [])], [], [.data(1, [1])], .violation(.streamClosed)),
        // Legal: trailers, what was in flight when we reset, and what may come on any stream.
        ([.post(1)], [], [.data(1, [1]), .headers(1, [])], .pass),
        ([.post(1)], [1], [.data(1, [1]), .headers(1, [])], .pass),
        ([.post(1)], [1], [.data(1, [], ends: true), .data(1, [1])], .violation(.streamClosed)),
        ([.post(1)], [1], [.reset(1), .windowUpdate(1, 1), .priority(1)], .pass),
        ([.get(1)], [1], [.reset(1), .windowUpdate(1, 1), .priority(1), .priority(9), .priority(2)], .pass),
        ([.get(1), .get(3)], [3, 1], [.get(5)], .pass),
        // Left to nghttp2: idle and even streams, stream 0.
        ([.get(1)], [], [.data(3, [1])], .pass),
        ([.get(5)], [], [.data(2, [1]), .get(2), .data(0, [1]), .get(0)], .pass),
    ]

    @Test(arguments: rows.indices) func standing(row: Int) {
        let (first, closed, then, verdict) = Self.rows[row]
        #expect(Self.verdict(first, closed: closed, then: then) == verdict)
    }

    @Test func manyResetsAreStillTolerated() {
        let ids = (0..<200).map { UInt32($0 * 2 + 1) }
        let posts = ids.map { Frame.post($0) }
        #expect(Self.verdict(posts, closed: ids, then: ids.map { .data($0, [1]) }) == .pass)
        let gets = ids.map { Frame.get($0) }
        #expect(Self.verdict(gets, closed: ids, then: [.data(1, [1])]) == .violation(.streamClosed))
    }

    /// However the bytes are split, verdict and position are the same.
    @Test(arguments: rows.indices) func splitting(row: Int) {
        let (first, _, then, _) = Self.rows[row]
        let bytes = Frame.preface + (first + then).flatMap(\.bytes)
        var whole = FrameGuard(HTTP2Settings())
        let expected = whole.scan(bytes[...])
        for split in 0...bytes.count {
            var parts = FrameGuard(HTTP2Settings())
            let start = parts.scan(bytes[..<split])
            var count = start.taken
            var verdict = start.verdict
            if verdict == .pass, split < bytes.count {
                let rest = parts.scan(bytes[split...])
                count += rest.taken
                verdict = rest.verdict
            }
            #expect(verdict == expected.verdict)
            // A frame header that came in pieces was taken, though it is never fed.
            #expect(count >= expected.taken && count < expected.taken + 9)
        }
        var single = FrameGuard(HTTP2Settings())
        var verdict = FrameGuard.Verdict.pass
        for at in 0..<bytes.count where verdict == .pass {
            verdict = single.scan(bytes[at...at]).verdict
        }
        #expect(verdict == expected.verdict)
    }

    @Test func knowsWhereItIs() {
        var guardian = FrameGuard(HTTP2Settings())
        let hello = Frame.hello
        for at in 0..<hello.count {
            #expect(!guardian.hasStarted)
            _ = guardian.scan(hello[at...at])
        }
        #expect(guardian.hasStarted)
        #expect(!guardian.isInsideHead)
        let head = Frame.headers(1, Frame.request("GET"), complete: false).bytes
        for at in 0..<head.count {
            #expect(guardian.isInsideHead == (at >= 9))
            _ = guardian.scan(head[at...at])
        }
        #expect(guardian.isInsideHead)
        _ = guardian.scan(Frame.continuation(1, [("a", "b")], complete: false).bytes[...])
        #expect(guardian.isInsideHead)
        _ = guardian.scan(Frame.continuation(1, [("a", "b")]).bytes[...])
        #expect(!guardian.isInsideHead)
    }
}

extension FrameGuard {
    fileprivate mutating func scan(_ bytes: ArraySlice<UInt8>) -> Scan {
        let bytes = Array(bytes)
        return scan(bytes.span, nowMs: 0)
    }
}
