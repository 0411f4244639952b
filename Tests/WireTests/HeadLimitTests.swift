import Testing
import Wire

@Suite("limits of a head")
struct HeadLimitTests {
    private static let start = "GET / HTTP/1.1\r\nHost: a\r\n"

    @Test("exactly the limit is a head, one byte less is a 431")
    func exactly() {
        let text = Self.start + "X: yyyy\r\n\r\n"
        let count = text.utf8.count
        #expect(request(text, limits: HeadLimits(bytes: count)).isComplete)
        #expect(request(text, limits: HeadLimits(bytes: count - 1)).text.hasPrefix("headTooLarge"))
        #expect(request(String(text.dropLast()), limits: HeadLimits(bytes: count)).isPartial)
    }

    @Test("wherever the limit falls, the answer is a 431", arguments: 1..<53)
    func anywhere(_ limit: Int) {
        let text = "\r\n" + Self.start + "Cookie: a=b; c=d\r\nX: y\r\n\r\n"
        #expect(text.utf8.count == 53)
        #expect(request(text, limits: HeadLimits(bytes: limit)).status == 431)
    }

    @Test("an endless request line is a 431, never a 414")
    func requestLine() {
        let text = "GET /" + String(repeating: "a", count: 2000)
        #expect(request(text, limits: HeadLimits(bytes: 1000)).status == 431)
        #expect(request(text + " HTTP/1.1\r\nHost: a\r\n\r\n", limits: HeadLimits(bytes: 1000)).status == 431)
    }

    @Test("a 431 says how many bytes were cookies and keeps the lines that fitted")
    func cookies() {
        let cookie = "Cookie: a=" + String(repeating: "b", count: 700)
        let text = Self.start + "Sec-Fetch-Mode: navigate\r\n" + cookie
        let verdict = request(text, limits: HeadLimits(bytes: 600))
        let before = (Self.start + "Sec-Fetch-Mode: navigate\r\n").utf8.count
        #expect(verdict.text.hasPrefix("headTooLarge cookies=\(600 - before) get [host|"))
        #expect(verdict.text.contains("[secFetchMode|Sec-Fetch-Mode|navigate|"))

        let two = Self.start + "cookie: a=b\r\nCookie: c=d\r\nX: " + String(repeating: "y", count: 600)
        #expect(request(two, limits: HeadLimits(bytes: 600)).text.hasPrefix("headTooLarge cookies=26 get"))
    }

    @Test("one field over the limit is a 431 once the head has ended")
    func fields() {
        let line = "X: y\r\n"
        let limits = HeadLimits(bytes: 32768, fields: 20)
        let full = Self.start + String(repeating: line, count: 19)
        #expect(request(full + "\r\n", limits: limits).isComplete)
        #expect(request(full + line, limits: limits).isPartial)
        let verdict = request(full + line + "\r\n", limits: limits)
        #expect(verdict.status == 431)
        #expect(verdict.text.hasPrefix("tooManyFields"))
    }

    @Test("over a thousand fields end it at once")
    func farTooMany() {
        let lines = Self.start + String(repeating: "a:\r\n", count: 999)
        let limits = HeadLimits(bytes: 32768, fields: 100)
        #expect(outcome(lines, limits) == "partial")
        #expect(outcome(lines + "\r\n", limits) == "tooManyFields")
        #expect(outcome(lines + "a:\r\n", limits) == "farTooManyFields")
    }

    @Test("the table's capacity is a limit too")
    func capacity() {
        let fields = HeadFields(capacity: 2)
        var scan = HeadScan()
        let bytes = Array("GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nC: d\r\n\r\n".utf8)
        guard case .malformed(.tooManyFields) = HTTP1.parseRequestHead(bytes.span, scan: &scan, into: fields) else {
            Issue.record("more lines than the table holds")
            return
        }
        #expect(fields.count == 2)
    }

    @Test("a bad line comes before too many lines, whole or in pieces")
    func order() {
        let text = Self.start + "Bad Name: x\r\n" + String(repeating: "X: y\r\n", count: 30) + "\r\n"
        #expect(request(text, limits: HeadLimits(bytes: 4096, fields: 10)).status == 400)
        let late = Self.start + "Bad Name: x\r\n" + String(repeating: "X", count: 200)
        #expect(request(late, limits: HeadLimits(bytes: 100)).status == 400)
    }

    @Test("a head that comes byte by byte costs linear time")
    func linear() {
        // 32 KiB byte by byte would be half a billion looks if each call began anew.
        let text = Self.start + "Cookie: " + String(repeating: "c", count: 30_000) + "\r\n\r\n"
        let bytes = Array(text.utf8)
        let fields = HeadFields(capacity: 100)
        var scan = HeadScan()
        var last = "none"
        for count in 0...bytes.count {
            switch HTTP1.parseRequestHead(bytes.span.extracting(0..<count), scan: &scan, into: fields) {
            case .partial: continue
            case .complete: last = "complete \(count)"
            case .malformed: last = "malformed"
            }
        }
        #expect(last == "complete \(bytes.count)")
    }

    private func outcome(_ text: String, _ limits: HeadLimits) -> String {
        let fields = HeadFields(capacity: 100)
        let bytes = Array(text.utf8)
        var results: Set<String> = []
        for step in [bytes.count, 1] {
            var scan = HeadScan()
            var result = "partial"
            for count in stride(from: step, through: bytes.count, by: step) {
                switch HTTP1.parseRequestHead(
                    bytes.span.extracting(0..<count), scan: &scan, into: fields, limits: limits)
                {
                case .partial: continue
                case .complete: result = "complete"
                case .malformed(let defect): result = "\(defect)"
                }
                break
            }
            results.insert(result)
        }
        return results.count == 1 ? results.first ?? "" : "differs: \(results)"
    }
}
