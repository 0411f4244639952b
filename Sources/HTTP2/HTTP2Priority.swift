/// What a client says of a response's priority (RFC 9218 section 4).
struct HTTP2Priority: Equatable {
    var urgency: UInt8 = 3
    var incremental = false

    init() {}

    /// Reads the value of a `priority` field or of a PRIORITY_UPDATE: a dictionary of which only `u` and `i` matter.
    /// What is malformed counts as not said.
    init(_ value: borrowing Span<UInt8>) {
        var at = 0
        while at < value.count {
            var end = at
            while end < value.count, value[end] != UInt8(ascii: ",") { end &+= 1 }
            while at < end, value[at] == 0x20 || value[at] == 0x09 { at &+= 1 }
            read(value, at, end)
            at = end &+ 1
        }
    }

    private mutating func read(_ value: borrowing Span<UInt8>, _ start: Int, _ end: Int) {
        var stop = start
        // Parameters and spaces behind the member say nothing to us.
        while stop < end, value[stop] != UInt8(ascii: ";"), value[stop] != 0x20, value[stop] != 0x09 { stop &+= 1 }
        guard stop > start else { return }
        let count = stop &- start
        switch value[start] {
        case UInt8(ascii: "u"):
            guard count == 3, value[start &+ 1] == UInt8(ascii: "=") else { return }
            let digit = value[start &+ 2] &- 0x30
            if digit < 8 { urgency = digit }
        case UInt8(ascii: "i"):
            if count == 1 {
                incremental = true
            } else if count == 4, value[start &+ 1] == UInt8(ascii: "="), value[start &+ 2] == UInt8(ascii: "?") {
                if value[start &+ 3] == UInt8(ascii: "1") { incremental = true }
                if value[start &+ 3] == UInt8(ascii: "0") { incremental = false }
            }
        default: break
        }
    }
}
