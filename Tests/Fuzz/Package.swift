// swift-tools-version: 6.2
import PackageDescription

// One executable for each parser; `run.sh` builds and runs them. `Sources/Wire` is a link to the gateway's own.
let fuzzed: [SwiftSetting] = [.swiftLanguageMode(.v6), .unsafeFlags(["-sanitize=fuzzer"])]
let parsers = [
    "RequestHead", "ResponseHead", "Chunked", "Trailers", "Authority", "Cookies", "Frames", "Minecraft",
    "MinecraftStatus", "ProxyHeader",
]

let package = Package(
    name: "fuzz",
    targets: [
        .target(name: "CFuzzer"),
        .target(name: "Wire", swiftSettings: [.strictMemorySafety()] + fuzzed),
        .target(name: "Checks", dependencies: ["Wire"], swiftSettings: fuzzed),
    ]
        + parsers.map { name in
            .executableTarget(
                name: "Fuzz\(name)", dependencies: ["CFuzzer", "Checks"], swiftSettings: fuzzed,
                linkerSettings: [.unsafeFlags(["-sanitize=fuzzer", "-use-ld=lld"])])
        }
)
