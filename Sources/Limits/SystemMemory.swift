import Glibc

/// What the kernel says of memory and descriptors: small files of `/proc` and `/sys`, read in one go. Costs some
/// microseconds; for a timer, not for every request.
public enum SystemMemory {
    /// Bytes of this process in memory (`/proc/self/statm`), or nil when it cannot be read.
    public static func residentBytes() -> Int? {
        read("/proc/self/statm").flatMap { resident(statm: $0, pageSize: Int(sysconf(Int32(_SC_PAGESIZE)))) }
    }

    /// Bytes of memory of the machine (`MemTotal`).
    public static func machineBytes() -> Int? {
        read("/proc/meminfo").flatMap(memTotal(meminfo:))
    }

    /// The smallest `memory.max` of this process's cgroup (v2) and those above it; nil when none is set.
    public static func cgroupBytes() -> Int? {
        guard let own = read("/proc/self/cgroup"), var path = unifiedPath(cgroup: own) else { return nil }
        var smallest: Int?
        while true {
            if let text = read("/sys/fs/cgroup\(path)/memory.max"), let limit = memoryMax(text) {
                smallest = min(smallest ?? limit, limit)
            }
            guard let slash = path.lastIndex(of: "/") else { return smallest }
            path = String(path[..<slash])
        }
    }

    /// The budget that `limits.memory: auto` means here.
    public static func automaticBudget() -> MemoryBudget {
        .automatic(machine: machineBytes(), cgroup: cgroupBytes())
    }

    /// Raises the soft limit of open descriptors to the hard one: the soft one is low (1024) for the sake of programs that
    /// use select(2).
    public static func raiseDescriptorLimit() {
        var limit = rlimit()
        let resource = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
        guard unsafe getrlimit(resource, &limit) == 0 else { return }
        let most = min(limit.rlim_max, 1 << 20)
        guard limit.rlim_cur < most else { return }
        limit.rlim_cur = most
        _ = unsafe setrlimit(resource, &limit)
    }

    /// The soft limit of open descriptors of this process; at most a million is believed.
    public static func descriptorLimit() -> Int {
        var limit = rlimit()
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
        return Int(min(limit.rlim_cur, 1 << 20))
    }
}

extension SystemMemory {
    static func resident(statm: String, pageSize: Int) -> Int? {
        let fields = statm.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages.multipliedReportingOverflow(by: pageSize).partialValue
    }

    static func memTotal(meminfo: String) -> Int? {
        for line in meminfo.split(separator: "\n") where line.hasPrefix("MemTotal:") {
            let fields = line.split(separator: " ")
            if fields.count > 1, let kilobytes = Int(fields[1]), kilobytes < 1 << 50 { return kilobytes * 1024 }
        }
        return nil
    }

    /// The path in the line `0::/path`, without a slash at its end.
    static func unifiedPath(cgroup: String) -> String? {
        for line in cgroup.split(separator: "\n") where line.hasPrefix("0::/") {
            let path = line.dropFirst(3)
            return path == "/" ? "" : String(path)
        }
        return nil
    }

    /// A number of bytes; `max` is none.
    static func memoryMax(_ text: String) -> Int? {
        Int(text.prefix { $0.isASCII && $0.isNumber })
    }

    /// The first 16 KiB of a file.
    private static func read(_ path: String) -> String? {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 16384)
        let count = unsafe Glibc.read(descriptor, &bytes, bytes.count)
        return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : nil
    }
}
