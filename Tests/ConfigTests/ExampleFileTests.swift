import Config
import Limits
import Routing
import Testing
import Wire

/// The commented examples are what the documentation says: the defaults, without a warning.
@Suite struct ExampleFileTests {
    @Test func theConfigurationShowsTheDefaults() throws {
        let config = try EdgeConfig.load(path: "\(packageRoot)/config/edge.yaml", environment: [:])
        var expected = EdgeConfig()
        expected.threads = config.threads
        expected.routesPath = "\(packageRoot)/config/routes.yaml"
        expected.ide.launch.keysPath = "\(packageRoot)/config/keys.jwks.json"
        expected.tls.certificates = [
            .init(certificate: "\(packageRoot)/certs/wildcard.crt", key: "\(packageRoot)/certs/wildcard.key")
        ]
        #expect(config == expected)
        #expect(config.threads >= 1)
    }

    @Test func theRoutesAreTaken() throws {
        let config = try EdgeConfig.load(path: "\(packageRoot)/config/edge.yaml", environment: [:])
        let loaded = try RoutesFile.load(
            path: config.routesPath, against: config, previous: nil, force: false, generation: 1)
        #expect(loaded.table.ideCount == 2)
        #expect(loaded.table.minecraft.count == 1)
        #expect(loaded.warnings.isEmpty)
        #expect(loaded.table.route(for: 1102)?.endpoint.description == "[fd00::11:2]:6000")
    }

    @Test func aChangeThatNeedsARestartIsNamed() {
        let before = EdgeConfig()
        var after = before
        #expect(after.keysNeedingRestart(from: before) == [])
        after.domain = "other.example"
        after.statePath = "/other"
        after.threads += 1
        after.listen.metrics = nil
        after.limits.drainMs = 1
        #expect(after.keysNeedingRestart(from: before) == ["domain", "state", "threads", "listen"])
    }
}
