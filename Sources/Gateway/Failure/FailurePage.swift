import Wire

/// The page a browser gets: self-contained, dark-mode aware, fit for a phone.
enum FailurePage {
    static func append(_ failure: GatewayFailure, id: RequestID, now: Int64, to page: inout ByteBuffer) {
        let text = failure.text
        page.append("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">")
        page.append("<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")
        if let seconds = reloadSeconds(of: failure, now: now) {
            page.append("<meta http-equiv=\"refresh\" content=\"")
            page.append(decimal: UInt64(seconds))
            page.append("\">")
        }
        page.append("<title>")
        page.append(text.title)
        page.append("</title><style>")
        page.append(style)
        page.append("</style></head><body><main><p class=\"code\">")
        page.append(decimal: UInt64(failure.status))
        page.append("</p><h1>")
        page.append(text.title)
        page.append("</h1><p>")
        page.append(text.message)
        page.append("</p>")
        if text.advice.utf8CodeUnitCount > 0 {
            page.append("<p>")
            page.append(text.advice)
            page.append("</p>")
        }
        if case .framedLaunch(let offer) = failure { offer.append(to: &page) }
        page.append("<p class=\"id\">Request <code>")
        id.append(to: &page)
        page.append("</code></p></main></body></html>\n")
    }

    /// A launch that waits for its route tries until its token expires, then the page stays.
    private static func reloadSeconds(of failure: GatewayFailure, now: Int64) -> Int? {
        if case .notYetRouted(let until) = failure, now >= until { return nil }
        return failure.reloadSeconds
    }

    private static let style: StaticString = """
        :root{color-scheme:light dark}body{margin:0;min-height:100vh;display:grid;place-items:center;\
        font:16px/1.5 system-ui,sans-serif;background:#f6f7f9;color:#1c2330}main{max-width:32rem;padding:2rem}\
        h1{font-size:1.5rem;margin:.2rem 0 1rem}.code{margin:0;color:#5b6a82;font-variant-numeric:tabular-nums}\
        .id{color:#5b6a82;font-size:.8rem;overflow-wrap:anywhere}\
        @media(prefers-color-scheme:dark){body{background:#12161d;color:#e4e9f1}.code,.id{color:#93a1b8}}
        """
}
