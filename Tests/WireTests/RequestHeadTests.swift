import Testing
import Wire

@Suite("HTTP/1 request heads")
struct RequestHeadTests {
    @Test("a browser's request")
    func browser() {
        let verdict = request(
            """
            GET /a/b?x=1&y=2 HTTP/1.1\r\nHost: dev-1101.zerolaghub.dev\r\nConnection: keep-alive\r\n\
            Sec-Fetch-Mode: navigate\r\nCookie: a=b; c=d\r\nX-Odd_One:  v \t\r\n\r\n
            """)
        #expect(verdict.text.contains("complete get GET /a/b?x=1&y=2 path=/a/b query=x=1&y=2 origin 1.1"))
        #expect(verdict.text.contains("none keep=true expect=false ws=false up=false host=dev-1101.zerolaghub.dev"))
        #expect(verdict.text.contains("[secFetchMode|Sec-Fetch-Mode|navigate|"))
        #expect(verdict.text.contains("[underscore|X-Odd_One|v|"))
    }
}
