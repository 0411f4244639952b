import Testing
import Wire

@Suite struct KeepAliveHeaderTests {
    @Test(
        arguments: [
            ("timeout=5", 5), ("timeout=5, max=100", 5), ("max=100, timeout=5", 5), ("Timeout=5", 5),
            ("TIMEOUT = 5 ", 5),
            ("timeout=\"5\"", 5), ("timeout=0", 0), ("timeout=1", 1), ("timeout=05", 5), (" ,, timeout=7 ,", 7),
            ("timeout=9, timeout=3", 3), ("timeout=4294967294", 4_294_967_294), ("timeout=99999999999999999999", .max),
            ("timeout=5;max=2", 5), ("timeout", nil), ("timeout=", nil), ("timeout=x", nil), ("timeout=-1", nil),
            ("timeouts=5", nil), ("time=5", nil), ("max=5", nil), ("", nil), ("=", nil), ("=5", nil), ("5", nil),
        ] as [(String, UInt32?)])
    func readsTheTimeout(value: String, seconds: UInt32?) {
        #expect(KeepAliveHeader.timeout(in: Array(value.utf8).span) == seconds)
    }
}
