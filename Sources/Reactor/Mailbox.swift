import CLinux
import Glibc
import Synchronization

/// The only thing of a loop that other threads hold: they post values, the loop wakes and takes them in order.
public final class Mailbox<Message: Sendable>: Sendable {
    private let wake: FileDescriptor
    private let queue = Mutex<[Message]>([])

    /// An empty mailbox.
    public init() throws(SystemError) {
        let raw = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
        guard raw >= 0 else { throw SystemError(errno) }
        wake = FileDescriptor(raw)
    }

    /// Adds a message and wakes the loop. Any thread.
    public func post(_ message: Message) {
        let wasEmpty = queue.withLock { queue in
            queue.append(message)
            return queue.count == 1
        }
        if wasEmpty { _ = eventfd_write(wake.raw, 1) }
    }

    /// Takes what was posted. The owner's thread.
    public func drain() -> [Message] {
        var count: eventfd_t = 0
        _ = unsafe eventfd_read(wake.raw, &count)
        return queue.withLock { queue in
            let messages = queue
            queue = []
            return messages
        }
    }

    /// Calls `receive` with each message, in order, on `loop` for as long as the loop lives.
    public func deliver(on loop: EventLoop, _ receive: @escaping (Message) -> Void) throws(SystemError) {
        try loop.register(MailboxSource(self, receive), wake)
    }

    /// Sleeps until something was posted or the time is over: for a thread without a loop.
    public func wait(atMostMs: Int32) -> [Message] {
        var descriptor = pollfd(fd: wake.raw, events: Int16(POLLIN), revents: 0)
        _ = unsafe poll(&descriptor, 1, atMostMs)
        return drain()
    }
}

/// Empties a mailbox when its loop is woken.
private final class MailboxSource<Message: Sendable>: EventSource {
    private let mailbox: Mailbox<Message>
    private let receive: (Message) -> Void

    init(_ mailbox: Mailbox<Message>, _ receive: @escaping (Message) -> Void) {
        self.mailbox = mailbox
        self.receive = receive
        super.init()
    }

    override func ready(_ events: Readiness) {
        for message in mailbox.drain() { receive(message) }
    }
}
