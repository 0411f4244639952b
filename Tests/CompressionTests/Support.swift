import CZlib
import Compression
import Wire

/// What a gzip stream decodes to so far, and whether it has ended.
struct Decoded: Equatable {
    var bytes: [UInt8] = []
    var isWhole = false
}

/// Decodes with zlib's own inflate; nil when the stream is broken or bytes follow its end.
func decoded(_ coded: borrowing ByteBuffer) -> Decoded? {
    coded.withReadable { span -> Decoded? in
        let input = span.copied()
        var stream = unsafe z_stream()
        guard unsafe zlh_gunzip_begin(&stream) == Z_OK else { return nil }
        defer { unsafe inflateEnd(&stream) }
        var result = Decoded()
        var room = [UInt8](repeating: 0, count: 65536)
        return unsafe input.withUnsafeBufferPointer { input in
            unsafe stream.next_in = input.baseAddress
            unsafe stream.avail_in = UInt32(input.count)
            while true {
                var code = Z_OK
                let count = unsafe room.withUnsafeMutableBufferPointer { room in
                    unsafe stream.next_out = room.baseAddress
                    unsafe stream.avail_out = UInt32(room.count)
                    code = unsafe inflate(&stream, Z_SYNC_FLUSH)
                    return unsafe room.count - Int(stream.avail_out)
                }
                result.bytes += room[..<count]
                switch code {
                case Z_OK where count > 0: continue
                case Z_OK, Z_BUF_ERROR: return unsafe stream.avail_in == 0 ? result : nil
                case Z_STREAM_END:
                    result.isWhole = true
                    return unsafe stream.avail_in == 0 ? result : nil
                default: return nil
                }
            }
        }
    }
}

/// Numbers that are the same in each run.
struct Numbers {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 2 &+ 1 }

    mutating func next(below bound: Int) -> Int {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int((state >> 33) % UInt64(bound))
    }
}

/// Contents that compress well, somewhat, and not at all.
enum Content: CaseIterable {
    case zeros, words, noise

    func bytes(_ count: Int) -> [UInt8] {
        var numbers = Numbers(seed: UInt64(count))
        switch self {
        case .zeros: return [UInt8](repeating: 0, count: count)
        case .noise: return (0..<count).map { _ in UInt8(numbers.next(below: 256)) }
        case .words:
            let words = ["function ", "return ", "this.", "const ", "=>", "{", "}", ";", "\n", "value", "index"]
            var text: [UInt8] = []
            while text.count < count {
                text += words[numbers.next(below: words.count)].utf8
                text.append(UInt8(97 + numbers.next(below: 26)))
            }
            return Array(text.prefix(count))
        }
    }
}
