import Glibc
import Reactor
import Wire

/// Who is at the other end of a local socket.
enum LocalPeer {
    /// Whether that user may use what only the operator may: root, and ourselves.
    static func isTrusted(_ user: UInt32?) -> Bool {
        user == 0 || user == geteuid()
    }

    /// The peer's user id; `nil` for a TCP peer on another host, or one that has gone.
    static func user(of descriptor: borrowing FileDescriptor) -> UInt32? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let status = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                unsafe getpeername(descriptor.raw, address, &length)
            }
        }
        guard status == 0 else { return nil }
        switch Int32(storage.ss_family) {
        case AF_UNIX: return credentials(of: descriptor.raw)
        case AF_INET: return tableEntry(for: storage, table: "/proc/net/tcp", addressBytes: 4, addressAt: 4)
        case AF_INET6: return tableEntry(for: storage, table: "/proc/net/tcp6", addressBytes: 16, addressAt: 8)
        default: return nil
        }
    }

    private static func credentials(of raw: Int32) -> UInt32? {
        // struct ucred: pid, uid, gid (unix(7)); Glibc's module hides it.
        var credentials: (pid: Int32, uid: UInt32, gid: UInt32) = (0, 0, 0)
        var length = socklen_t(12)
        guard unsafe getsockopt(raw, SOL_SOCKET, SO_PEERCRED, &credentials, &length) == 0, length == 12 else {
            return nil
        }
        return credentials.uid
    }

    /// Finds the peer's own socket in the kernel's table (proc_pid_net(5)): it is there only when the peer is here.
    private static func tableEntry(
        for address: sockaddr_storage, table: String, addressBytes: Int, addressAt: Int
    ) -> UInt32? {
        var bytes: [UInt8] = []
        unsafe withUnsafeBytes(of: address) { bytes = unsafe Array($0) }
        let port = UInt64(bytes[2]) << 8 | UInt64(bytes[3])
        // Each 32-bit group is printed as the number that it is in memory, so little-endian machines print it reversed.
        var wanted = ""
        for group in stride(from: addressAt, to: addressAt + addressBytes, by: 4) {
            let parts = bytes[group..<group + 4]
            let value = parts.reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
            wanted += hex(UInt64(UInt32(truncatingIfNeeded: value).bigEndian), digits: 8)
        }
        wanted += ":" + hex(port, digits: 4)
        for line in readTable(table).split(separator: "\n").dropFirst() {
            let fields = line.split(separator: " ", omittingEmptySubsequences: true)
            if fields.count > 7, fields[1] == wanted { return UInt32(fields[7]) }
        }
        return nil
    }

    private static func hex(_ value: UInt64, digits: Int) -> String {
        let text = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text
    }

    private static func readTable(_ path: String) -> String {
        let raw = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard raw >= 0 else { return "" }
        let file = FileDescriptor(raw)
        var text: [UInt8] = []
        var block = [UInt8](repeating: 0, count: 64 * 1024)
        while true {
            let count = unsafe read(file.raw, &block, block.count)
            guard count > 0, text.count < 64 * 1024 * 1024 else { break }
            text += block[..<count]
        }
        return String(decoding: text, as: UTF8.self)
    }
}
