import FoundationEssentials
import Testing

@testable import Identity

@Suite struct StateFileTests {
    @Test("a file is replaced whole, private, and leaves nothing behind")
    func replace() throws {
        try withDirectory { directory in
            let path = directory + "/file"
            #expect(try StateFile.read(path) == nil)
            try StateFile.replace(path, with: [1, 2, 3])
            try StateFile.replace(path, with: [])
            try StateFile.replace(path, with: [4])
            #expect(try StateFile.read(path) == [4])
            #expect(try mode(path) == 0o600)
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["file"])
        }
    }

    @Test("a directory, a link and a large file are refused")
    func refusals() throws {
        try withDirectory { directory in
            #expect(throws: StateError.self) { try StateFile.read(directory) }
            try StateFile.replace(directory + "/real", with: [UInt8](repeating: 1, count: 11))
            #expect(throws: StateError.self) { try StateFile.read(directory + "/real", atMost: 10) }
            try FileManager.default.createSymbolicLink(
                atPath: directory + "/link", withDestinationPath: directory + "/real")
            #expect(throws: StateError.self) { try StateFile.read(directory + "/link") }
            #expect(throws: StateError.self) { try StateFile.replace(directory + "/missing/file", with: []) }
        }
    }

    @Test("the state directory is made private, and refused when others may write to it")
    func stateDirectory() throws {
        try withDirectory { directory in
            let path = directory + "/state"
            #expect(try StateDirectory.prepare(path).isEmpty)
            #expect(try mode(path) == 0o700)
            #expect(try StateDirectory.prepare(path + "/").isEmpty)
            try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
            #expect(try StateDirectory.prepare(path).count == 1)
            try FileManager.default.setAttributes([.posixPermissions: 0o770], ofItemAtPath: path)
            let error = try #require(throws: StateError.self) { try StateDirectory.prepare(path) }
            #expect(error.description.contains("chmod 700"))
            try StateFile.replace(directory + "/file", with: [])
            #expect(throws: StateError.self) { try StateDirectory.prepare(directory + "/file") }
            #expect(throws: StateError.self) { try StateDirectory.prepare(directory + "/no/parent") }
        }
    }
}
