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
        let problem = tryStart {
            unsafe zlh_name_thread(name)
            body()
        }
        if let problem { preconditionFailure("pthread_create: \(problem)") }
    }

    /// Starts a detached thread that has the name of this one; says what is wrong when the system has none left, and
    /// that must not end the whole program.
    public static func tryStart(_ body: @escaping @Sendable () -> Void) -> SystemError? {
        var thread = pthread_t()
        let argument = unsafe Unmanaged.passRetained(Body(body))
        let status = unsafe pthread_create(
            &thread, nil,
            { argument in
                guard let argument = unsafe argument else { return nil }
                unsafe Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, argument.toOpaque())
        guard status == 0 else {
            unsafe argument.release()
            return SystemError(status)
        }
        pthread_detach(thread)
        return nil
    }
}
