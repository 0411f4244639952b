import Testing

/// The arrows between the targets point downwards, and each C library has its owner. The compiler lets any target import
/// a C module behind its wrapper's back, and says nothing when an arrow is added to `Package.swift` that turns the
/// design around; this test does.
@Suite struct ImportTests {
    /// Who may import which C module. To use a C library elsewhere, give its owner the function that is missing.
    static let owners: [String: Set<String>] = [
        "CLinux": ["Demo", "Reactor", "Supervisor"],
        "COpenSSL": ["Crypto", "TLS"],
        "CYAML": ["Config"],
        "CNGHTTP2": ["HTTP2"],
        "CZlib": ["Compression"],
    ]

    /// A target imports only what lies lower. Equal numbers know nothing of one another.
    static let layers: [String: Int] = [
        "Wire": 0,
        "Compression": 1, "Crypto": 1, "HTTP2": 1, "Limits": 1, "Observe": 1, "Reactor": 1, "Routing": 1, "TLS": 1,
        "Config": 2, "Identity": 2, "LocalServer": 2, "Transport": 2,
        "Gateway": 3, "MinecraftProxy": 3, "Demo": 3,
        "Admin": 4,
        "Supervisor": 5,
        "zlh-edge": 6,
    ]

    /// What a target may not import although it lies lower, and why.
    static let walls: [String: (modules: Set<String>, why: String)] = [
        "Gateway": (["Config", "LocalServer"], "it takes values, never files, and serves on loops, never on threads"),
        "MinecraftProxy": (["Config", "LocalServer"], "it takes values, never files, and serves on loops"),
        "Routing": (["Reactor"], "policy is tested without a socket"),
    ]

    @Test func thereIsSomethingToLookAt() {
        #expect(SourceTree.targets.contains("Wire"))
        #expect(SourceTree.files.count > 100)
        #expect(SourceTree.files.contains { $0.target == "TLS" && $0.imports.contains { $0.module == "COpenSSL" } })
    }

    @Test(arguments: SourceTree.targets)
    func everyTargetHasItsPlace(target: String) {
        #expect(
            Self.layers[target] != nil || Self.owners[target] != nil,
            "give \(target) a layer, or an owner when it is a C module")
    }

    @Test(arguments: SourceTree.targets)
    func arrowsPointDownwards(target: String) {
        guard let layer = Self.layers[target] else { return }
        for file in SourceTree.files where file.target == target {
            for (module, line) in file.imports {
                if let owners = Self.owners[module] {
                    #expect(owners.contains(target), "\(file.path):\(line): \(module) belongs to \(owners.sorted())")
                } else if let below = Self.layers[module] {
                    #expect(below < layer, "\(file.path):\(line): \(target) lies below \(module)")
                }
                if let wall = Self.walls[target] {
                    #expect(!wall.modules.contains(module), "\(file.path):\(line): \(wall.why)")
                }
                #expect(module != "Foundation", "\(file.path):\(line): Foundation is not for this program")
            }
        }
    }

    /// The parsers and the data path are safe throughout: whoever needs a pointer asks the module that owns it.
    @Test(arguments: ["Gateway", "MinecraftProxy", "Routing"])
    func noUnsafeCode(target: String) {
        for file in SourceTree.files where file.target == target {
            for (index, line) in file.lines.enumerated() where !line.drop(while: { $0 == " " }).hasPrefix("//") {
                let isUnsafe = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" }.contains("unsafe")
                #expect(!isUnsafe, "\(file.path):\(index + 1): unsafe code does not belong in \(target)")
            }
        }
    }
}
