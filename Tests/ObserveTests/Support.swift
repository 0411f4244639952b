import FoundationEssentials
import Wire

/// What `build` writes, as text.
func text(_ build: (inout ByteBuffer) -> Void) -> String {
    String(decoding: bytes(build), as: UTF8.self)
}

/// What `build` writes.
func bytes(_ build: (inout ByteBuffer) -> Void) -> [UInt8] {
    var buffer = ByteBuffer()
    build(&buffer)
    return buffer.withReadable { span in span.indices.map { span[$0] } }
}

/// A JSON value of a log line.
enum Value: Decodable, Equatable {
    case text(String)
    case number(Double)
    case flag(Bool)

    init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let flag = try? container.decode(Bool.self) {
            self = .flag(flag)
        } else if let number = try? container.decode(Double.self) {
            self = .number(number)
        } else {
            self = .text(try container.decode(String.self))
        }
    }
}

/// The members of one line, by somebody else's parser.
func parse(_ line: some Sequence<UInt8>) throws -> [String: Value] {
    try JSONDecoder().decode([String: Value].self, from: Data(line))
}
