/// How much a line matters (`log.level`).
public enum LogLevel: UInt8, Sendable, Comparable, CaseIterable {
    /// For finding faults.
    case debug
    /// What normally happens: access lines, reloads.
    case info
    /// What an operator should look at.
    case warning
    /// What an operator must look at.
    case error

    /// The level's name in the configuration and in the lines.
    public var label: StaticString {
        switch self {
        case .debug: "debug"
        case .info: "info"
        case .warning: "warning"
        case .error: "error"
        }
    }

    /// The level of that name; `warn` is `warning`.
    public init?(name: String) {
        switch name {
        case "debug": self = .debug
        case "info": self = .info
        case "warning", "warn": self = .warning
        case "error": self = .error
        default: return nil
        }
    }

    /// Orders by weight.
    public static func < (one: Self, other: Self) -> Bool { one.rawValue < other.rawValue }
}
