import CFuzzer
import Checks

@main
enum Entry {
    static func main() {
        var count = CommandLine.argc
        var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>! = CommandLine.unsafeArgv
        _ = LLVMFuzzerRunDriver(&count, &arguments) { start, count in
            Check.run("Minecraft", Array(UnsafeBufferPointer(start: start, count: count)))
            return 0
        }
    }
}
