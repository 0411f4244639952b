extension ProxyHeader {
    /// Appends a version 1 header. Both addresses are written in the client's family.
    public static func appendV1(source: Endpoint, destination: Endpoint, to out: inout ByteBuffer) {
        out.append("PROXY ")
        out.append(source.address.isIPv4 ? "TCP4 " : "TCP6 ")
        out.append(address: source.address)
        out.append(UInt8(ascii: " "))
        out.append(address: destination.address.inFamily(of: source.address))
        out.append(UInt8(ascii: " "))
        out.append(decimal: UInt64(source.port))
        out.append(UInt8(ascii: " "))
        out.append(decimal: UInt64(destination.port))
        out.append("\r\n")
    }

    /// Appends a version 2 header without TLVs.
    public static func appendV2(source: Endpoint, destination: Endpoint, to out: inout ByteBuffer) {
        for index in 0..<12 { out.append(signature[index]) }
        out.append(0x21)
        let target = destination.address.inFamily(of: source.address)
        if source.address.isIPv4 {
            out.append(0x11)
            out.append(bigEndian: UInt16(12))
            append(UInt64(source.address.ipv4), bytes: 4, to: &out)
            append(UInt64(target.ipv4), bytes: 4, to: &out)
        } else {
            out.append(0x21)
            out.append(bigEndian: UInt16(36))
            for address in [source.address, target] {
                append(address.high, bytes: 8, to: &out)
                append(address.low, bytes: 8, to: &out)
            }
        }
        out.append(bigEndian: source.port)
        out.append(bigEndian: destination.port)
    }

    private static func append(_ value: UInt64, bytes: Int, to out: inout ByteBuffer) {
        for place in 0..<bytes { out.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * (bytes - 1 - place)))) }
    }
}

extension IPAddress {
    /// The address itself, or the unspecified one of the other's family when they differ.
    fileprivate func inFamily(of other: IPAddress) -> IPAddress {
        if isIPv4 == other.isIPv4 { return self }
        return other.isIPv4 ? IPAddress(ipv4: 0) : IPAddress(high: 0, low: 0)
    }
}
