import Wire

/// What ties together an answer, the container's log and ours: 128 random bits, 32 hex digits. It identifies, it is no
/// secret.
struct RequestID: Sendable, Equatable {
    let high: UInt64
    let low: UInt64

    func append(to buffer: inout ByteBuffer) {
        buffer.append(hex16: high)
        buffer.append(hex16: low)
    }
}

/// One loop's source of request ids: xoshiro256++ seeded by the kernel.
struct RequestIDSource {
    private var state: (UInt64, UInt64, UInt64, UInt64)

    init() {
        var seed = SystemRandomNumberGenerator()
        state = (seed.next(), seed.next(), seed.next(), seed.next() | 1)
    }

    mutating func next() -> RequestID {
        RequestID(high: step(), low: step())
    }

    private mutating func step() -> UInt64 {
        let sum = state.0 &+ state.3
        let result = (sum &<< 23 | sum &>> 41) &+ state.0
        let shifted = state.1 &<< 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = state.3 &<< 45 | state.3 &>> 19
        return result
    }
}
