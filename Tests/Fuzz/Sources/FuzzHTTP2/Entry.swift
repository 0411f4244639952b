import CFuzzer
import SessionChecks

@main
enum Entry {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>! = CommandLine.unsafeArgv
        _ = LLVMFuzzerRunDriver(&count, &arguments) { start, count in
            SessionCheck.run(Array(UnsafeBufferPointer(start: start, count: count)))
            return 0
        }
    }
}
