/// One thing wrong with a file: where, what, and how to mend it.
public struct ConfigProblem: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file as it was named to the program.
    public let file: String
    /// Counted from 1.
    public let line: Int
    /// What is wrong and how to mend it, on one line.
    public let message: String
    /// Whether the file is used all the same.
    public let isWarning: Bool
    /// Whether it is the system's trouble rather than the file's: to be tried again.
    public let mayPass: Bool

    /// A problem.
    public init(file: String, line: Int, message: String, isWarning: Bool = false, mayPass: Bool = false) {
        self.file = file
        self.line = line
        self.message = message
        self.isWarning = isWarning
        self.mayPass = mayPass
    }

    /// `file:line: message`, with `warning: ` before the message of a warning.
    public var description: String { "\(file):\(line): \(isWarning ? "warning: " : "")\(message)" }
}

/// Everything that is wrong with a file, so that one run of `check` is enough.
public struct ConfigProblems: Error, Sendable, CustomStringConvertible {
    /// Why the file is refused, in the order of the file; at least one.
    public let problems: [ConfigProblem]
    /// What is odd but would not have kept the file from being used.
    public let warnings: [ConfigProblem]

    /// Whether routes are refused as they would remove too many (`limits.reload_removes`).
    public let removesTooMuch: Bool

    /// What was found.
    public init(problems: [ConfigProblem], warnings: [ConfigProblem] = [], removesTooMuch: Bool = false) {
        self.problems = problems
        self.warnings = warnings
        self.removesTooMuch = removesTooMuch
    }

    /// One line for each, warnings last.
    public var description: String { (problems + warnings).map(\.description).joined(separator: "\n") }
}

/// Collects what reading a file finds. Owned by one load, on its thread.
final class ProblemList {
    /// A file of a hundred thousand bad routes must not become a hundred thousand lines of log.
    static let most = 100

    let file: String
    private var problems: [ConfigProblem] = []
    private var warnings: [ConfigProblem] = []
    private var unlisted = 0
    /// The routes would remove too many.
    var removesTooMuch = false

    init(file: String) { self.file = file }

    var isEmpty: Bool { problems.isEmpty }

    /// Messages past the bound are not even made: finding the nearest key for a million unknown ones takes minutes.
    func error(_ line: Int, _ message: @autoclosure () -> String) {
        guard problems.count < Self.most else {
            unlisted += 1
            return
        }
        problems.append(ConfigProblem(file: file, line: line, message: message()))
    }

    func warning(_ line: Int, _ message: @autoclosure () -> String) {
        guard warnings.count < Self.most else { return }
        warnings.append(ConfigProblem(file: file, line: line, message: message(), isWarning: true))
    }

    /// All that was found, sorted by line.
    var inFileOrder: (problems: [ConfigProblem], warnings: [ConfigProblem]) {
        var sorted = problems.inFileOrder
        if unlisted > 0, let last = sorted.last {
            let message = "\(unlisted) more problems are not listed"
            sorted.append(ConfigProblem(file: file, line: last.line, message: message))
        }
        return (sorted, warnings.inFileOrder)
    }

    /// The warnings, when nothing worse was found.
    func finish() throws(ConfigProblems) -> [ConfigProblem] {
        let found = inFileOrder
        guard problems.isEmpty else {
            throw ConfigProblems(
                problems: found.problems, warnings: found.warnings, removesTooMuch: removesTooMuch)
        }
        return found.warnings
    }
}

extension [ConfigProblem] {
    /// Sorted by line; those of one line keep their order.
    fileprivate var inFileOrder: [ConfigProblem] {
        enumerated().sorted { ($0.element.line, $0.offset) < ($1.element.line, $1.offset) }.map(\.element)
    }
}

/// A value as it may stand in a message: quoted, on one line, not endless.
func quoted(_ text: String) -> String {
    var shown = ""
    for scalar in text.unicodeScalars.prefix(60) {
        let isPrintable = scalar.value >= 0x20 && !(0x7f...0x9f).contains(scalar.value)
        shown += isPrintable ? String(scalar) : "\\u{\(String(scalar.value, radix: 16))}"
    }
    return "\"\(shown)\(text.unicodeScalars.count > 60 ? "…" : "")\""
}
