import COpenSSL

/// The keys that seal session tickets: one for all loops, so that a client may resume on any of them. The newest
/// seals, the ones before it still open. An immutable value; rotation makes the next one.
public struct TicketKeys: Sendable, Equatable {
    private var keys: [[UInt8]]

    /// One fresh key.
    public init() {
        keys = [Self.fresh()]
    }

    /// The keys after one rotation: a fresh one in front, the oldest gone.
    public func rotated() -> TicketKeys {
        var next = self
        next.keys.insert(Self.fresh(), at: 0)
        next.keys = Array(next.keys.prefix(Int(zlh_ticket_key_limit)))
        return next
    }

    private static func fresh() -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 80)
        let status = unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            unsafe RAND_bytes(buffer.baseAddress, Int32(buffer.count))
        }
        precondition(status == 1, "no randomness from OpenSSL")
        return bytes
    }

    /// Writes the keys where OpenSSL's callback looks for them.
    func store(in target: UnsafeMutablePointer<zlh_ticket_keys>) {
        for (index, key) in keys.enumerated() { unsafe zlh_set_ticket_key(target, Int32(index), key) }
        unsafe target.pointee.count = Int32(keys.count)
    }
}
