import CLinux
import Glibc

/// Plain threads.
public enum Thread {
    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    /// Starts a detached thread. `name` shows in `top -H` and is cut to 15 bytes; without one it has its starter's.
    /// Throws when the system has none left (processes, address space), which must not end the program.
    public static func start(_ name: String? = nil, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
        let run: @Sendable () -> Void = {
            if let name { unsafe zlh_name_thread(name) }
            body()
        }
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(Body(run))
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard status == 0 else {
            unsafe argument.release()
            throw SystemError(status)
        }
        pthread_detach(thread)
    }
}
