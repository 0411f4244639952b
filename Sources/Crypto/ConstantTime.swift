internal import COpenSSL

/// Whether both hold the same bytes, in a time that depends on their lengths alone.
public func equalInConstantTime(_ left: borrowing Span<UInt8>, _ right: borrowing Span<UInt8>) -> Bool {
    let count = left.count
    guard count == right.count else { return false }
    if count == 0 { return true }
    return unsafe left.withUnsafeBufferPointer { left in
        unsafe right.withUnsafeBufferPointer { right in
            unsafe CRYPTO_memcmp(left.baseAddress, right.baseAddress, count) == 0
        }
    }
}
