// swift-tools-version: 6.2
import PackageDescription

/// Every target of ours: Swift 6 mode, each unsafe expression spelled out, no warnings.
let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .strictMemorySafety(),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// The data path alone: a release build does not check exclusive access at run time, which cost a fifth of a request's
/// instructions. Debug builds do, and so every test that runs on them.
let dataPath: [SwiftSetting] =
    strict + [.unsafeFlags(["-enforce-exclusivity=unchecked"], .when(configuration: .release))]

/// A library target: its name, what it may import, and nothing else. The arrows point one way:
/// `zlh-edge` at the top, `Wire` at the bottom.
func library(
    _ name: String, _ dependencies: [Target.Dependency] = [], settings: [SwiftSetting] = strict
) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: settings)
}

/// The Swift Testing suite of one library.
/// `files` are read where they lie.
func tests(of name: String, _ dependencies: [Target.Dependency] = [], files: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.init(stringLiteral: name)] + dependencies,
        exclude: files, swiftSettings: strict)
}

let package = Package(
    name: "zlh-edge",
    products: [.executable(name: "zlh-edge", targets: ["zlh-edge"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
    ],
    targets: [
        // C, each behind one Swift target.
        .target(name: "CLinux"),
        .target(name: "CYAML", linkerSettings: [.linkedLibrary("yaml")]),
        .target(name: "CZlib", linkerSettings: [.linkedLibrary("z")]),
        .target(name: "COpenSSL", linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .target(name: "CNGHTTP2", linkerSettings: [.linkedLibrary("nghttp2")]),

        // Bytes and pure values.
        library("Wire", settings: dataPath),
        library("HTTP2", ["CNGHTTP2", "Wire"], settings: dataPath),
        library("Routing", ["Wire"]),
        library("Limits", ["Wire"]),
        library("Observe", ["Wire"]),
        library("Compression", ["CZlib", "Wire"], settings: dataPath),
        library("Crypto", ["COpenSSL", "Wire"]),
        library("Identity", ["Crypto", "Wire"]),
        library("Config", ["CYAML", "Limits", "Routing", "Wire"]),

        // The loop and its streams.
        library("Reactor", ["CLinux"], settings: dataPath),
        library("TLS", ["COpenSSL", "Wire"], settings: dataPath),
        library("Transport", ["Reactor", "TLS", "Wire"], settings: dataPath),

        // What the program does.
        library(
            "Gateway",
            [
                "Compression", "Crypto", "HTTP2", "Identity", "Limits", "Observe", "Reactor", "Routing", "TLS",
                "Transport", "Wire",
            ],
            settings: dataPath),
        library(
            "MinecraftProxy", ["Limits", "Observe", "Reactor", "Routing", "Transport", "Wire"], settings: dataPath),
        library("LocalServer", ["Crypto", "Reactor", "Wire"]),
        .target(
            name: "Demo", dependencies: ["Crypto", "LocalServer", "Reactor", "TLS", "Wire"],
            resources: ["index.html", "style.css", "page.js", "terminal.js", "icon.svg"].map {
                .embedInCode("Page/\($0)")
            },
            swiftSettings: strict),
        library(
            "Supervisor",
            [
                "CLinux", "Config", "Gateway", "HTTP2", "Identity", "Limits", "LocalServer", "MinecraftProxy",
                "Observe",
                "Reactor", "Routing", "TLS", "Wire",
            ]),
        .executableTarget(
            name: "zlh-edge",
            dependencies: [
                "Config", "Crypto", "Demo", "Identity", "Reactor", "Routing", "Supervisor", "TLS", "Wire",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: strict),

        tests(of: "Wire", files: ["Corpus"]),
        tests(of: "HTTP2", ["CNGHTTP2", "Wire"]),
        tests(of: "Routing", ["Wire"]),
        tests(of: "Limits", ["Wire"]),
        tests(of: "Observe", ["Wire"]),
        tests(of: "Compression", ["CZlib", "Wire"]),
        tests(of: "Crypto", ["Wire"]),
        tests(of: "Identity", ["Crypto", "Wire"], files: ["Vectors"]),
        tests(of: "Config", ["CYAML", "Limits", "Routing", "Wire"], files: ["Files"]),
        tests(of: "Reactor", ["CLinux"]),
        tests(of: "TLS", ["COpenSSL", "Reactor", "StreamSupport", "Transport", "Wire"], files: ["Fixtures"]),
        tests(of: "Transport", ["Reactor", "StreamSupport", "TLS", "Wire"]),
        // What the two share.
        .target(
            name: "StreamSupport", dependencies: ["Reactor", "Transport", "Wire"], path: "Tests/StreamSupport",
            swiftSettings: strict),
        tests(of: "MinecraftProxy", ["Limits", "Observe", "Reactor", "Routing", "Transport", "Wire"]),
        tests(
            of: "Gateway",
            ["Identity", "Limits", "Observe", "Reactor", "Routing", "TLS", "Transport", "Wire"]),
        tests(of: "Supervisor"),
        .testTarget(name: "TidyTests", swiftSettings: strict),
        tests(of: "LocalServer", ["Demo", "Reactor", "Wire"]),
    ]
)
