extension Play {
    static let usual = [":method": "GET", ":scheme": "https", ":authority": "a.test", ":path": "/"]
    static let names = [
        ":method", ":scheme", ":authority", ":path", ":protocol", ":status", "host", "cookie", "content-length", "te",
        "connection", "transfer-encoding", "upgrade", "expect", "priority", "sec-websocket-key",
        "sec-websocket-version", "x", "X", "x y", "x:", "", "x_y", "keep-alive", "set-cookie",
    ]
    static let values = [
        "", "GET", "POST", "CONNECT", "OPTIONS", "TRACE", "https", "http", "a.test", "A.TEST", "b", "/", "/a?b", "*",
        "/#", "/a b", "websocket", "chunked", "trailers", "0", "5", "18446744073709551616", "close", "u=1, i", "13",
        "a\r\nb: c", "a\nb", "a\r", "a\0b", " a", "a ", "a\tb", "\u{e9}", "100-continue",
        String(repeating: "v", count: 100), String(repeating: "w", count: 120),
    ]
    static let heads = [
        "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 204 No Content\r\nA: b\r\n\r\n", "HTTP/1.1 103 x\r\nLink: y\r\n\r\n",
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: z\r\n\r\n",
        "HTTP/1.1 304 x\r\nETag: \"a\"\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 500\r\nno colon\r\n\r\n", "",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nSet-Cookie: a=b\r\n\r\n",
    ]
    static let lines = ["", "A: b\r\n", "A: b\r\nC: d\r\n", "no colon\r\n", "Connection: close\r\n"]
}
