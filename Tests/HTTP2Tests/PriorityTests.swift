import Testing

@testable import HTTP2

@Suite struct PriorityTests {
    /// RFC 9218 section 4: a dictionary with `u` and `i`; what is malformed or unknown changes nothing.
    @Test(arguments: [
        ("", 3, false), ("u=0", 0, false), ("u=7", 7, false), ("u=8", 3, false), ("u=-1", 3, false), ("u", 3, false),
        ("i", 3, true), ("i=?1", 3, true), ("i=?0", 3, false), ("i=1", 3, false), ("u=1, i", 1, true),
        ("u=1,i=?0", 1, false), ("i , u=2", 2, true), ("u=5;x=1, i;y", 5, true), ("a=3, u=4, z=\"x\"", 4, false),
        ("u=1, u=6", 6, false), (",,,", 3, false), ("urgent, important", 3, false), ("\tu=2\t", 2, false),
    ])
    func read(text: String, urgency: UInt8, incremental: Bool) {
        let priority = HTTP2Priority(Array(text.utf8).span)
        #expect(priority.urgency == urgency)
        #expect(priority.incremental == incremental)
    }
}
