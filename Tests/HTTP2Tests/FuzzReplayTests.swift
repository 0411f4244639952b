import Testing

/// The fuzzer's check (`Tests/Fuzz`), linked into the tests: scripts that are the same in every run.
@Suite struct FuzzReplayTests {
    @Test(arguments: 0..<8) func scripts(seed: UInt64) {
        var state = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        for _ in 0..<500 {
            var script: [UInt8] = []
            for _ in 0..<300 {
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                script.append(UInt8(truncatingIfNeeded: state))
            }
            SessionCheck.run(script)
        }
    }
}
