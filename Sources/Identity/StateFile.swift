import Crypto
internal import Glibc

/// Why something under `state` could not be read or written.
public struct StateError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The file or directory.
    public let path: String
    /// What is wrong and how to mend it, in one line.
    public let reason: String

    /// `path: reason`.
    public var description: String { "\(path): \(reason)" }
}

/// Whole files of ours under `state`: small, mode 0600, replaced atomically.
enum StateFile {
    /// The contents; nil when there is no such file. Refuses what others may have read or written.
    static func read(_ path: String, atMost limit: Int = 1 << 20) throws(StateError) -> [UInt8]? {
        guard let file = try existing(path) else { return nil }
        let status = try file.status()
        guard status.isRegular else { throw StateError(path: path, reason: "not a regular file") }
        guard status.mode & 0o077 == 0 else {
            let mode = String(status.mode, radix: 8)
            throw StateError(path: path, reason: "mode is 0\(mode), it must be 0600: others may have read it")
        }
        guard status.size <= limit else { throw StateError(path: path, reason: "larger than \(limit) bytes") }
        return try file.read(from: 0, count: status.size)
    }

    /// The contents of a file that operators made: a JWKS, a PEM. It may be a symbolic link and have any mode.
    static func readForeign(_ path: String, atMost limit: Int = 1 << 20) throws(StateError) -> [UInt8] {
        let file: OpenFile
        do {
            file = try OpenFile(path, O_RDONLY, followingLinks: true)
        } catch {
            throw error.state
        }
        let status = try file.status()
        guard status.isRegular else { throw StateError(path: path, reason: "not a regular file") }
        guard status.size <= limit else { throw StateError(path: path, reason: "larger than \(limit) bytes") }
        return try file.read(from: 0, count: limit)
    }

    /// Makes a directory unless there is one; its parent must exist.
    static func makeDirectory(_ path: String, mode: UInt32) throws(StateError) {
        if unsafe mkdir(path, mode) != 0, errno != EEXIST {
            throw OpenFile.Failure(path: path, doing: "cannot be made", code: errno).state
        }
    }

    /// What the file is like; nil when there is none.
    static func status(_ path: String) throws(StateError) -> OpenFile.Status? {
        guard let file = try existing(path) else { return nil }
        return try file.status()
    }

    /// The file, opened for reading; nil when there is none.
    private static func existing(_ path: String) throws(StateError) -> OpenFile? {
        do {
            return try OpenFile(path, O_RDONLY)
        } catch {
            if error.isMissing { return nil }
            throw error.state
        }
    }

    /// Writes a new file beside the old one and renames it over it, so that a reader, or a crash at any moment, sees
    /// either the old contents or the new.
    static func replace(_ path: String, with bytes: [UInt8]) throws(StateError) {
        let temporary = "\(path).new-\(Random.id())"
        do {
            let file = try create(temporary)
            try file.append(bytes)
            try file.sync()
        } catch {
            remove(temporary)
            throw error
        }
        try rename(temporary, to: path)
        try syncDirectory(of: path)
    }

    /// Writes a file that must not be there yet.
    static func writeNew(_ path: String, _ bytes: [UInt8], mode: UInt32) throws(StateError) {
        let file = try create(path, mode: mode)
        do {
            try file.append(bytes)
            try file.sync()
        } catch {
            remove(path)
            throw error
        }
    }

    /// A new, empty file.
    static func create(_ path: String, mode: UInt32 = 0o600) throws(StateError) -> OpenFile {
        do {
            return try OpenFile(path, OpenFile.appending | O_CREAT | O_EXCL, mode: mode)
        } catch {
            throw error.state
        }
    }

    static func rename(_ from: String, to path: String) throws(StateError) {
        if unsafe Glibc.rename(from, path) != 0 {
            let code = errno
            remove(from)
            throw OpenFile.Failure(path: path, doing: "cannot be replaced", code: code).state
        }
    }

    static func remove(_ path: String) {
        _ = unsafe unlink(path)
    }

    /// Makes a rename in the directory of `path` outlast a power failure.
    static func syncDirectory(of path: String) throws(StateError) {
        try directory(of: path).sync()
    }

    /// The directory of `path`, opened; two processes that share it can lock it.
    static func directory(of path: String) throws(StateError) -> OpenFile {
        let slash = path.lastIndex(of: "/")
        let parent = slash.map { $0 == path.startIndex ? "/" : String(path[..<$0]) } ?? "."
        do {
            return try OpenFile(parent, O_RDONLY | O_DIRECTORY)
        } catch {
            throw error.state
        }
    }
}

/// The `state` directory itself.
public enum StateDirectory {
    /// Makes `path` with mode 0700 when it is missing (its parent must exist) and checks that it can be trusted.
    /// - Returns: warnings, one line each.
    public static func prepare(_ path: String) throws(StateError) -> [String] {
        try StateFile.makeDirectory(path, mode: 0o700)
        let status = try StateFile.directory(of: path + "/.").status()
        guard status.mode & 0o022 == 0 else {
            throw StateError(path: path, reason: "others may write to it: chmod 700")
        }
        guard unsafe access(path, W_OK | X_OK) == 0 else {
            throw StateError(path: path, reason: "not writable for this user")
        }
        return status.mode & 0o055 == 0 ? [] : ["\(path): others may look into it: chmod 700"]
    }
}
