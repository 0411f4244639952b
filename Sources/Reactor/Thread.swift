import CLinux
import Glibc

/// Plain threads.
public enum Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a detached thread. `name` shows in `top -H` and is cut to 15 bytes.
    public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
        let wrapped = Body {
            unsafe zlh_name_thread(name)
            body()
        }
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(wrapped).toOpaque()
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument)
        precondition(status == 0, "pthread_create: \(SystemError(status))")
        pthread_detach(thread)
    }
}
