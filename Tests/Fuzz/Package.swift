// swift-tools-version: 6.2
import PackageDescription

// One executable for each parser; `run.sh` builds and runs them. `Sources/Wire`, `HTTP2` and `CNGHTTP2`
// are links to the gateway's own.
let fuzzed: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-sanitize=fuzzer"])]
let parsers = [
    "RequestHead", "ResponseHead", "Chunked", "Trailers", "Authority", "Cookies", "Frames", "Minecraft",
    "MinecraftStatus", "ProxyHeader",
]
/// What the gateway's own targets say `unsafe` for.
let wrapping: [SwiftSetting] = [.strictMemorySafety(), .enableUpcomingFeature("InternalImportsByDefault")] + fuzzed

func program(_ name: String, _ checks: String) -> Target {
    .executableTarget(
        name: "Fuzz\(name)", dependencies: ["CFuzzer", .init(stringLiteral: checks)], swiftSettings: fuzzed,
        linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])])
}

let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "CFuzzer"),
        .target(name: "Wire", swiftSettings: wrapping),
        .target(name: "Checks", dependencies: ["Wire"], swiftSettings: fuzzed),
        .target(name: "CNGHTTP2", linkerSettings: [.linkedLibrary("nghttp2")]),
        .target(name: "HTTP2", dependencies: ["CNGHTTP2", "Wire"], swiftSettings: wrapping),
        .target(name: "SessionChecks", dependencies: ["HTTP2", "Wire"], swiftSettings: fuzzed),
        program("HTTP2", "SessionChecks"),
    ]
        + parsers.map { program($0, "Checks") }
)
