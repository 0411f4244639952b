import Glibc

/// Writing whole texts to descriptors 1 and 2: Swift's `stderr` is shared mutable state.
enum StandardError {
    static func write(_ text: String) { writeAll(text, to: 2) }
}

/// Results go to standard output, at once even when it is a pipe.
enum StandardOutput {
    static func write(_ text: String) { writeAll(text, to: 1) }
}

private func writeAll(_ text: String, to descriptor: Int32) {
    var bytes = Array(text.utf8)[...]
    while !bytes.isEmpty {
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        if count < 0 && errno == EINTR { continue }
        guard count > 0 else { return }
        bytes = bytes.dropFirst(count)
    }
}
