import LocalServer
import Reactor

/// A shell over a WebSocket: output comes in binary messages; whatever is sent is typed, but for the text message
/// `resize COLUMNS ROWS`, which tells the terminal's size.
enum ShellSession {
    /// Runs until either side ends; the shell never outlives its WebSocket.
    static func run(_ socket: LocalWebSocket) throws {
        let terminal = try PseudoTerminal(columns: 80, rows: 24)
        defer { terminal.end() }
        try Thread.start("shell-output") {
            while true {
                let output = terminal.read()
                guard !output.isEmpty, (try? socket.sendBinary(output)) != nil else { break }
            }
            socket.close(code: 1000, reason: "the shell ended")
        }
        while let message = try socket.readMessage() {
            switch message {
            case .binary(let keys): terminal.write(keys)
            case .text(let text):
                if let size = size(in: text) {
                    terminal.resize(columns: size.columns, rows: size.rows)
                } else {
                    terminal.write(Array(text.utf8))
                }
            }
        }
    }

    /// Parses `resize COLUMNS ROWS`.
    static func size(in command: String) -> (columns: UInt16, rows: UInt16)? {
        let words = command.split(separator: " ")
        guard words.count == 3, words[0] == "resize", let columns = UInt16(words[1]), let rows = UInt16(words[2]),
            (1...1000).contains(columns), (1...1000).contains(rows)
        else { return nil }
        return (columns, rows)
    }
}
