/// What libFuzzer hands over: its bytes, copied where a read past the end is noticed. The last byte says where to split.
struct FuzzInput {
    let bytes: [UInt8]
    let split: Int

    init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        let given = Array(UnsafeBufferPointer(start: start, count: count))
        bytes = Array(given.dropLast())
        split = bytes.isEmpty ? 0 : Int(given.last ?? 0) * 37 % (bytes.count + 1)
    }
}

/// A comparable summary of an outcome; positions and defects must not depend on how the bytes came.
func summary<Head>(_ outcome: HeadOutcome<Head>, _ describe: (Head) -> String) -> String {
    switch outcome {
    case .complete(let head): "complete \(describe(head))"
    case .partial: "partial"
    case .malformed(let defect): "malformed \(defect.status)"
    }
}
