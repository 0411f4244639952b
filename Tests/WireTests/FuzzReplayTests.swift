import Testing

/// The fuzzer's checks (`Tests/Fuzz`), linked into the tests: on what once made one fail, on the corpus, and on a few
/// thousand mutations of it that are the same in every run.
@Suite("what the fuzzer checks")
struct FuzzReplayTests {
    static let parsers = [
        "RequestHead", "ResponseHead", "Chunked", "Trailers", "Authority", "Cookies", "Frames", "Minecraft",
        "MinecraftStatus", "ProxyHeader",
    ]

    @Test("old failures", arguments: parsers)
    func failCases(_ parser: String) {
        for file in CorpusFile.all("../Fuzz/FailCases/\(parser)", extension: "") { Check.run(parser, file.bytes) }
    }

    @Test("the folder of old failures is found")
    func found() {
        #expect(!CorpusFile.all("../Fuzz/FailCases/RequestHead", extension: "").isEmpty)
    }

    @Test("mutations of the corpus", arguments: parsers)
    func mutations(_ parser: String) {
        var random = Sequence(state: 0x5eed)
        let seeds = ["accept", "reject", "partial"].flatMap { CorpusFile.all("Corpus/\($0)") }.map(\.bytes)
        for seed in seeds {
            Check.run(parser, seed)
            for _ in 0..<8 { Check.run(parser, random.mutate(seed)) }
        }
    }

    /// A plain linear congruential generator.
    struct Sequence {
        var state: UInt64

        mutating func next(_ bound: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % bound
        }

        mutating func mutate(_ bytes: [UInt8]) -> [UInt8] {
            var bytes = bytes
            let interesting = Array("\r\n\0\t :;,=\"0/#?x_-".utf8) + [0x7f, 0x80, 0xff]
            for _ in 0...next(3) {
                guard !bytes.isEmpty else { break }
                let at = next(bytes.count)
                switch next(4) {
                case 0: bytes[at] = interesting[next(interesting.count)]
                case 1: bytes.insert(interesting[next(interesting.count)], at: at)
                case 2: bytes.remove(at: at)
                default: bytes.insert(contentsOf: bytes[at..<min(at + next(30), bytes.count)], at: next(bytes.count))
                }
            }
            return bytes
        }
    }
}
