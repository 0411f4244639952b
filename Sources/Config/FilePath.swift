import Glibc

/// Paths as text.
enum FilePath {
    /// The folder a file lies in, absolute.
    static func folder(of path: String) -> String {
        let absolute = resolve(path, in: currentFolder())
        let folder = absolute[..<(absolute.lastIndex(of: "/") ?? absolute.startIndex)]
        return folder.isEmpty ? "/" : String(folder)
    }

    /// `path`, or if it is relative, below `folder`; without `.` and `..`.
    static func resolve(_ path: String, in folder: String) -> String {
        let whole = path.hasPrefix("/") ? path : "\(folder)/\(path)"
        var parts: [Substring] = []
        for part in whole.split(separator: "/") where part != "." {
            if part == ".." { _ = parts.popLast() } else { parts.append(part) }
        }
        return "/" + parts.joined(separator: "/")
    }

    private static func currentFolder() -> String {
        guard let path = unsafe getcwd(nil, 0) else { return "/" }
        defer { unsafe free(path) }
        return unsafe String(cString: path)
    }
}

extension Section {
    /// A path, made absolute; `fallback` is taken when the key is absent.
    mutating func path(_ key: String, _ target: inout String, default fallback: String = "", in folder: String) {
        var path = fallback
        parsed(key, &path, "a path") { $0.isEmpty || $0.utf8.contains(0) ? nil : $0 }
        target = path.isEmpty ? "" : FilePath.resolve(path, in: folder)
    }

    /// Reports those of `keys` that are absent.
    func require(_ keys: [String], of element: Int) {
        for key in keys where isMapping && !has(key) {
            reading.error(element, "\"\(name(of: key))\" is missing; add it")
        }
    }
}
