import CLinux
import Glibc

/// The epoll calls and the buffer that the kernel fills; edge-triggered in both directions, so that a connection is
/// registered once and never changed.
@safe
struct Epoll: ~Copyable {
    private static let batch = 256
    private let descriptor: FileDescriptor
    private let events: UnsafeMutablePointer<epoll_event>

    init() throws(SystemError) {
        let raw = epoll_create1(Int32(EPOLL_CLOEXEC))
        guard raw >= 0 else { throw SystemError(errno) }
        descriptor = FileDescriptor(raw)
        unsafe events = .allocate(capacity: Self.batch)
        unsafe events.initialize(repeating: epoll_event(), count: Self.batch)
    }

    deinit {
        unsafe events.deallocate()
    }

    /// `exclusively`: of several loops that watch one listening socket, an arrival wakes one and not all.
    func add(_ watched: borrowing FileDescriptor, token: UInt64, exclusively: Bool = false) throws(SystemError) {
        var event = unsafe epoll_event()
        unsafe event.events =
            exclusively
            ? EPOLLIN.rawValue | EPOLLET.rawValue | EPOLLEXCLUSIVE.rawValue
            : EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        unsafe event.data.u64 = token
        guard unsafe epoll_ctl(descriptor.raw, EPOLL_CTL_ADD, watched.raw, &event) == 0 else {
            throw SystemError(errno)
        }
    }

    func remove(_ watched: borrowing FileDescriptor) {
        _ = epoll_ctl(descriptor.raw, EPOLL_CTL_DEL, watched.raw, nil)
    }

    /// Sleeps until something happens, at most so long; how many events there are.
    func wait(atMostMs: UInt64) throws(SystemError) -> Int {
        let timeout = Int32(truncatingIfNeeded: min(atMostMs, 60_000))
        let count = unsafe epoll_wait(descriptor.raw, events, Int32(Self.batch), timeout)
        if count >= 0 { return Int(count) }
        guard errno == EINTR else { throw SystemError(errno) }
        return 0
    }

    func event(_ index: Int) -> (token: UInt64, readiness: Readiness) {
        precondition(index < Self.batch)
        return unsafe (events[index].data.u64, Readiness(rawValue: events[index].events))
    }
}
