import CLinux
import Glibc
import Reactor

/// Signals as events. Made before any other thread, so that all of them inherit the mask.
final class SignalSource: EventSource {
    private let descriptor: FileDescriptor
    private var report: ((Int32) -> Void)?

    /// Takes SIGHUP, SIGTERM and SIGINT out of asynchronous delivery; SIGPIPE is ignored, and so is
    /// SIGXFSZ, as a file that may not grow is an error like a full disk.
    static func take() throws(SystemError) -> SignalSource {
        let signals = [SIGHUP, SIGTERM, SIGINT]
        let raw = unsafe zlh_signalfd(signals, Int32(signals.count))
        guard raw >= 0 else { throw SystemError(-raw) }
        _ = signal(SIGPIPE, SIG_IGN)
        _ = signal(SIGXFSZ, SIG_IGN)
        return SignalSource(FileDescriptor(raw))
    }

    private init(_ descriptor: consuming FileDescriptor) { self.descriptor = descriptor }

    /// Calls `report` with each signal.
    func deliver(on loop: EventLoop, _ report: @escaping (Int32) -> Void) throws(SystemError) {
        self.report = report
        try loop.register(self, descriptor)
    }

    override func ready(_ events: Readiness) {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        while unsafe read(descriptor.raw, &info, size) == size { report?(Int32(info.ssi_signo)) }
    }
}
