import CYAML
import Glibc

/// A file's bytes and its name for messages: where every load begins, and where tests come in.
struct SourceFile {
    /// Larger files are refused unread.
    static let mostBytes = 64 << 20

    let path: String
    let bytes: [UInt8]

    /// Reads a file, or throws the one problem that keeps it from being read.
    static func read(_ path: String) throws(ConfigProblems) -> SourceFile {
        do {
            return SourceFile(path: path, bytes: try FileContents.read(path, atMost: mostBytes))
        } catch {
            throw ConfigProblems(problems: [error.problem()])
        }
    }

    /// The document, or the one problem that keeps it from being parsed.
    func document() throws(ConfigProblems) -> YAMLDocument {
        let (document, failure) = documentAsFarAsItGoes()
        if let failure { throw ConfigProblems(problems: [failure]) }
        return document
    }

    /// The document, or as much of it as is well-formed and what ended it.
    func documentAsFarAsItGoes() -> (document: YAMLDocument, failure: ConfigProblem?) {
        var bytes = bytes
        if path.hasSuffix(".json") { JSONEscapes.joinSurrogates(&bytes) }
        let (document, failure) = YAMLDocument.parse(bytes)
        return (document, failure.map { ConfigProblem(file: path, line: $0.line, message: $0.message) })
    }
}

/// Why a file could not be read or written.
public struct FileFailure: Error, Sendable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// What failed and what the system said.
    public let reason: String

    /// Whether it is the system's trouble rather than the file's: to be tried again.
    public var mayPass = false

    /// `path: reason`.
    public var description: String { "\(path): \(reason)" }

    static func system(_ path: String, _ doing: String) -> FileFailure {
        let code = errno
        let passing = [EMFILE, ENFILE, ENOMEM, EAGAIN, EINTR, EIO, ESTALE, ETIMEDOUT]
        return FileFailure(
            path: path, reason: unsafe "cannot be \(doing): \(String(cString: strerror(code)))",
            mayPass: passing.contains(code))
    }

    /// The same as what is wrong with a file of the configuration; `cure` says what to do.
    public func problem(_ cure: String = "") -> ConfigProblem {
        ConfigProblem(file: path, line: 1, message: reason + cure, mayPass: mayPass)
    }
}

/// Whole files, at once. Blocks on the disk.
public enum FileContents {
    /// The bytes of a regular file of at most `most` bytes. Blocks on the disk.
    public static func read(_ path: String, atMost most: Int) throws(FileFailure) -> [UInt8] {
        // Without O_NONBLOCK a FIFO in the file's place would hold us here.
        let file = unsafe open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard file >= 0 else { throw .system(path, "read") }
        defer { close(file) }
        var status = stat()
        guard unsafe fstat(file, &status) == 0 else { throw .system(path, "read") }
        guard status.st_mode & S_IFMT == S_IFREG else {
            throw FileFailure(path: path, reason: "cannot be read: it is not a regular file")
        }
        guard status.st_size <= most else {
            throw FileFailure(path: path, reason: "is larger than \(most >> 20) MiB; that cannot be right")
        }
        // One byte more than it should need, so that the end shows in the same read.
        var bytes = [UInt8](repeating: 0, count: Int(status.st_size) + 1)
        var count = 0
        while true {
            if count == bytes.count {
                guard count <= most else {
                    throw FileFailure(path: path, reason: "is larger than \(most >> 20) MiB; that cannot be right")
                }
                bytes.append(contentsOf: repeatElement(0, count: 64 << 10))
            }
            let got = unsafe bytes.withUnsafeMutableBytes { room in
                unsafe Glibc.read(file, room.baseAddress! + count, room.count - count)
            }
            if got < 0, errno == EINTR { continue }
            guard got >= 0 else { throw .system(path, "read") }
            if got == 0 { break }
            count += got
        }
        bytes.removeLast(bytes.count - count)
        return bytes
    }

    /// Replaces a file so that a reader, or a power cut, finds either the old bytes or the new ones, readable by us alone.
    static func write(_ path: String, _ bytes: [UInt8]) throws(FileFailure) {
        let temporary = "\(path).new"
        let file = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard file >= 0 else { throw .system(temporary, "written") }
        defer { close(file) }
        // One that a former version left behind may have other rights.
        guard fchmod(file, 0o600) == 0 else { throw .system(temporary, "written") }
        var done = 0
        while done < bytes.count {
            let put = unsafe bytes.withUnsafeBytes { all in
                unsafe Glibc.write(file, all.baseAddress! + done, all.count - done)
            }
            if put < 0, errno == EINTR { continue }
            guard put >= 0 else { throw .system(temporary, "written") }
            done += put
        }
        guard fsync(file) == 0 else { throw .system(temporary, "written") }
        guard unsafe rename(temporary, path) == 0 else { throw .system(path, "written") }
        syncFolder(of: path)
    }

    /// Makes the rename itself last; where the file system cannot, nothing better can be done.
    private static func syncFolder(of path: String) {
        let folder = unsafe open(FilePath.folder(of: path), O_RDONLY | O_CLOEXEC | O_DIRECTORY)
        guard folder >= 0 else { return }
        fsync(folder)
        close(folder)
    }

    /// Hands what parsing a file of that size took back to the system; the allocator would keep it. That walks the
    /// whole heap under the allocator's locks, so small files do not pay for it.
    static func releaseMemory(after bytes: Int) {
        if bytes >= 1 << 20 { malloc_trim(0) }
    }
}
