import Glibc

/// What the kernel says about this process, for `process_*`. Reading it lists `/proc/self/fd`: not for an event loop's
/// thread when there are very many descriptors.
struct ProcessStatistics {
    var cpuMicroseconds: UInt64 = 0
    var residentBytes: UInt64 = 0
    var virtualBytes: UInt64 = 0
    var openDescriptors: UInt64 = 0
    var maximumDescriptors: UInt64 = 0
    var threads: UInt64 = 0
    var startEpochMs: UInt64 = 0

    /// What can be read now; what cannot stays 0.
    init() {
        var cpu = timespec()
        if unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu) == 0 {
            cpuMicroseconds = UInt64(clamping: cpu.tv_sec) &* 1_000_000 &+ UInt64(clamping: cpu.tv_nsec / 1000)
        }
        var limit = rlimit()
        if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
            maximumDescriptors = UInt64(limit.rlim_cur)
        }
        openDescriptors = Self.countDescriptors()
        readStat(readSmallFile("/proc/self/stat"))
    }

    /// Fields are counted from the end of the program's name, which may hold spaces and parentheses (proc_pid_stat(5)).
    private mutating func readStat(_ stat: String) {
        guard let name = stat.lastIndex(of: ")") else { return }
        let fields = stat[stat.index(after: name)...].split(separator: " ")
        // The third field of the manual is the first here.
        guard fields.count > 21 else { return }
        threads = UInt64(fields[17]) ?? 0
        virtualBytes = UInt64(fields[20]) ?? 0
        residentBytes = (UInt64(fields[21]) ?? 0) &* UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
        let ticks = UInt64(fields[19]) ?? 0
        let perSecond = UInt64(clamping: max(sysconf(Int32(_SC_CLK_TCK)), 1))
        startEpochMs = Self.bootEpochMs &+ ticks &* 1000 / perSecond
    }

    /// Wall-clock time less the time since boot, asked once: the difference would wander with every scrape.
    private static let bootEpochMs: UInt64 = {
        var (wall, boot) = (timespec(), timespec())
        unsafe clock_gettime(CLOCK_REALTIME, &wall)
        unsafe clock_gettime(CLOCK_BOOTTIME, &boot)
        let ms = (wall.tv_sec - boot.tv_sec) * 1000 + (wall.tv_nsec - boot.tv_nsec) / 1_000_000
        return UInt64(clamping: ms)
    }()

    private static func countDescriptors() -> UInt64 {
        // Since Linux 6.2 the folder's size is the number.
        var status = stat()
        if unsafe stat("/proc/self/fd", &status) == 0, status.st_size > 0 { return UInt64(clamping: status.st_size) }
        guard let folder = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe closedir(folder) }
        var count: UInt64 = 0
        while unsafe readdir(folder) != nil { count += 1 }
        // Without `.`, `..` and the folder's own descriptor.
        return count > 3 ? count - 3 : 0
    }
}

/// The first 4 KiB of a file as text; empty when it cannot be read.
private func readSmallFile(_ path: String) -> String {
    let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return "" }
    defer { close(descriptor) }
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = unsafe read(descriptor, &bytes, bytes.count)
    return count > 0 ? String(decoding: bytes[..<count], as: UTF8.self) : ""
}
