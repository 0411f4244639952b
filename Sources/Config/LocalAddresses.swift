import Glibc
import Wire

/// The addresses of this machine's interfaces: a listener on 0.0.0.0 is at each of them.
public enum LocalAddresses {
    /// Whether any interface has an IPv6 address, the loopback's `::1` included.
    public static var haveIPv6: Bool { now().contains { !$0.isIPv4 } }

    /// As they are now; none when the system does not say.
    static func now() -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard unsafe getifaddrs(&list) == 0 else { return [] }
        defer { unsafe freeifaddrs(list) }
        var addresses: Set<IPAddress> = []
        var entry = unsafe list
        while let interface = unsafe entry?.pointee {
            if let address = unsafe interface.ifa_addr.flatMap({ unsafe read($0) }) { addresses.insert(address) }
            unsafe entry = interface.ifa_next
        }
        return addresses
    }

    private static func read(_ address: UnsafeMutablePointer<sockaddr>) -> IPAddress? {
        let raw = UnsafeRawPointer(address)
        switch unsafe Int32(address.pointee.sa_family) {
        case AF_INET:
            let address = unsafe raw.loadUnaligned(as: sockaddr_in.self)
            return IPAddress(ipv4: UInt32(bigEndian: address.sin_addr.s_addr))
        case AF_INET6:
            let address = unsafe raw.loadUnaligned(as: sockaddr_in6.self)
            let words = unsafe address.sin6_addr.__in6_u.__u6_addr32
            let high = UInt64(UInt32(bigEndian: words.0)) << 32 | UInt64(UInt32(bigEndian: words.1))
            let low = UInt64(UInt32(bigEndian: words.2)) << 32 | UInt64(UInt32(bigEndian: words.3))
            return IPAddress(high: high, low: low)
        default: return nil
        }
    }
}
