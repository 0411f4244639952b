/// The `Clear-Site-Data` field of a container: it may empty its own stores, never the browser's cookies, which it
/// shares with its neighbours.
public enum ClearSiteData {
    /// Appends the directives of `value` that are allowed, each once; `"*"` stands for all of these. False when none is
    /// left.
    public static func appendAllowed(_ value: borrowing Span<UInt8>, to output: inout ByteBuffer) -> Bool {
        var cache = false
        var storage = false
        var contexts = false
        var members = ListMembers()
        while let range = members.next(in: value) {
            let member = value.extracting(range)
            let all = HTTPSpan.equal(member, "\"*\"")
            if all || HTTPSpan.equal(member, "\"cache\"") { cache = true }
            if all || HTTPSpan.equal(member, "\"storage\"") { storage = true }
            if all || HTTPSpan.equal(member, "\"executionContexts\"") { contexts = true }
        }
        if cache { output.append("\"cache\"") }
        if storage { output.append(cache ? ", \"storage\"" : "\"storage\"") }
        if contexts { output.append(cache || storage ? ", \"executionContexts\"" : "\"executionContexts\"") }
        return cache || storage || contexts
    }
}
