import Crypto
import Wire

/// A file of lines `expires key value`, appended to and now and then rewritten, that several processes may share: the
/// old one and the new one during an upgrade.
///
/// A line is one `write` to an `O_APPEND` descriptor under an advisory lock, so a crash of the process loses nothing
/// and one of the machine at most what the kernel had not yet written, some seconds; a torn last line is cut off.
/// Not thread-safe: `ExpiringTable` guards it.
struct ExpiringLog: ~Copyable {
    struct Record: Equatable {
        var expires: Int64
        var key: String
        var value: String

        var line: [UInt8] {
            let fields =
                "\(expires) \(Base64URL.encode(Array(key.utf8))) \(value.isEmpty ? "." : Base64URL.encode(Array(value.utf8)))\n"
            return Array(fields.utf8)
        }

        init(expires: Int64, key: String, value: String) {
            self.expires = expires
            self.key = key
            self.value = value
        }

        /// Nil when the line is damaged.
        init?(line: ArraySlice<UInt8>) {
            let fields = line.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false)
            guard fields.count == 3, let expires = Int64(String(decoding: fields[0], as: UTF8.self)),
                let key = Self.text(fields[1]), let value = Self.text(fields[2])
            else { return nil }
            self.init(expires: expires, key: key, value: value)
        }

        private static func text(_ field: ArraySlice<UInt8>) -> String? {
            if field.elementsEqual([UInt8(ascii: ".")]) { return "" }
            return Base64URL.decode(Array(field).span).flatMap { String(validating: $0, as: UTF8.self) }
        }
    }

    /// How large a file may become before it is taken for damaged.
    private static let sizeAtMost = 1 << 28

    private let path: String
    private let kind: String
    /// How `disown` says that the file lacks a line: by emptying it, else by removing it.
    private let empties: Bool
    private var file: OpenFile
    /// What lies before was read or written by us.
    private var offset: Int
    /// When this record of things begins, seconds since 1970: nothing older was ever written to it.
    var beginning: Int64
    /// We removed or emptied the file, as it lacks a line; what we hold in memory is whole.
    private var isDisowned = false
    /// Lines in the file, live or not.
    private(set) var lines = 0
    /// Lines that could not be understood and were skipped.
    private(set) var damagedLines = 0

    /// Opens a file that is there; see `make`.
    init(path: String, kind: String, empties: Bool) throws(StateError) {
        guard let file = try Self.reopen(path) else { throw StateError(path: path, reason: "vanished") }
        let status = try file.status()
        guard status.isRegular, status.mode & 0o077 == 0 else {
            throw StateError(path: path, reason: "must be a regular file with mode 0600")
        }
        guard let header = try Self.parseHeader(file, kind: kind) else {
            throw StateError(path: path, reason: "does not begin like a file of this kind; move it away to start anew")
        }
        self.path = path
        self.kind = kind
        self.empties = empties
        self.file = consume file
        self.beginning = header.beginning
        offset = header.size
    }

    static func exists(_ path: String) throws(StateError) -> Bool {
        if let _ = try reopen(path) { true } else { false }
    }

    /// Makes a file that begins at `beginning`, unless another process was faster.
    static func make(_ path: String, kind: String, beginning: Int64) throws(StateError) {
        let directory = try StateFile.directory(of: path)
        try directory.lock(attempts: 50_000)
        defer { directory.unlock() }
        if try !exists(path) { try StateFile.replace(path, with: header(kind, beginning)) }
    }

    private static func reopen(_ path: String) throws(StateError) -> OpenFile? {
        let file: OpenFile
        do {
            file = try OpenFile(path, OpenFile.appending)
        } catch {
            if error.isMissing { return nil }
            throw error.state
        }
        // A file without a byte is what a full disk leaves; it says nothing, so it counts as missing.
        if try file.status().size == 0 { return nil }
        return consume file
    }

    private static func header(_ kind: String, _ beginning: Int64) -> [UInt8] {
        Array("zlh-edge \(kind) 1 \(beginning)\n".utf8)
    }

    private static func parseHeader(
        _ file: borrowing OpenFile, kind: String
    ) throws(StateError) -> (beginning: Int64, size: Int)? {
        let start = try file.read(from: 0, count: 128)
        guard let end = start.firstIndex(of: UInt8(ascii: "\n")) else { return nil }
        let words = String(decoding: start[..<end], as: UTF8.self).split(separator: " ")
        guard words.count == 4, words[0] == "zlh-edge", words[1] == kind, words[2] == "1",
            let beginning = Int64(words[3])
        else { return nil }
        return (beginning, end + 1)
    }

    /// Locks the file and returns what others appended since the last time. Every `begin` that returns needs an `end`.
    ///
    /// Others hold the lock for microseconds. An event loop may be waiting, so a holder that was stopped in the act is
    /// waited for a quarter of a second once, and not again (`patient`) until it lets go.
    mutating func begin(patient: Bool = true) throws(StateError) -> [Record] {
        try lockCurrent(attempts: patient ? 2500 : 1)
        do {
            return try catchUp()
        } catch {
            file.unlock()
            throw error
        }
    }

    /// Appends records with one write; only between `begin` and `end`.
    mutating func append(_ records: [Record]) throws(StateError) {
        let text = records.reduce(into: []) { $0 += $1.line }
        do {
            try file.append(text)
        } catch {
            // Half a line must not become the beginning of the next.
            try? file.truncate(to: offset)
            throw error
        }
        offset += text.count
        lines += records.count
    }

    /// Removes or empties the file, so that a start does not take it for whole: unlike a mark in it, this needs no room
    /// on the disk. Only between `begin` and `end`. A rewrite puts a whole one in its place.
    mutating func disown() {
        if !empties { StateFile.remove(path) }
        // Where a file cannot be removed, one without a byte says the same.
        if empties || (try? file.status().links) != 0 { try? file.truncate(to: 0) }
        isDisowned = true
    }

    /// Whether another process did that to the file because it could not write a line, which we shall never see.
    private func isDisownedElsewhere(_ status: OpenFile.Status) -> Bool {
        !isDisowned && (empties ? status.size < offset : status.links == 0)
    }

    /// Whether others have written since the last time, or replaced the file. Takes no lock.
    var hasNews: Bool {
        guard let status = try? file.status() else { return true }
        return status.links == 0 || status.size != offset
    }

    /// Lets others in again.
    func end() {
        file.unlock()
    }

    /// Locks the file that `path` names now, even when another process has put a new one there.
    private mutating func lockCurrent(attempts: Int = 2500) throws(StateError) {
        for _ in 0..<8 {
            try file.lock(attempts: attempts)
            if try file.status().links > 0 { return }
            file.unlock()
            guard let current = try Self.reopen(path), let header = try Self.parseHeader(current, kind: kind) else {
                throw StateError(path: path, reason: "was removed while in use")
            }
            file = current
            // Whoever made it may know that lines are missing.
            beginning = max(beginning, header.beginning)
            offset = header.size
            lines = 0
        }
        throw StateError(path: path, reason: "is being replaced over and over")
    }

    private mutating func catchUp() throws(StateError) -> [Record] {
        let size = try file.status().size
        if size == offset { return [] }
        guard size > offset, size - offset <= Self.sizeAtMost else {
            throw StateError(path: path, reason: size < offset ? "was cut short while in use" : "too large")
        }
        let bytes = try file.read(from: offset, count: size - offset)
        var records: [Record] = []
        var start = 0
        while let end = bytes[start...].firstIndex(of: UInt8(ascii: "\n")) {
            lines += 1
            if let record = Record(line: bytes[start..<end]) { records.append(record) } else { damagedLines += 1 }
            start = end + 1
        }
        // We hold the lock, so nobody is still writing this: its writer died.
        if start < bytes.count { try file.truncate(to: offset + start) }
        offset += start
        return records
    }
}

// MARK: - Rewriting

extension ExpiringLog {
    /// A new file that holds only what still matters, not yet in its place.
    struct Rewrite: ~Copyable {
        fileprivate let file: OpenFile
        fileprivate let from: Place
    }

    /// Which file, and how far into it, a set of records stands for.
    struct Place: Equatable {
        fileprivate let inode: UInt64
        fileprivate let offset: Int
        fileprivate let path: String
        fileprivate let beginning: Int64
        fileprivate let header: [UInt8]
    }

    /// Where the log is now. What it has applied up to here is what a rewrite at `now` must contain.
    func place(now: Int64) throws(StateError) -> Place {
        let status = try file.status()
        // What was made in this second may be among what is missing.
        let from = isDisownedElsewhere(status) ? max(beginning, now + 1) : beginning
        return Place(
            inode: status.inode, offset: offset, path: path, beginning: from, header: Self.header(kind, from))
    }

    /// Writes `records` to a new file and waits for the disk; needs no access to the log meanwhile.
    static func write(_ records: [Record], from place: Place) throws(StateError) -> Rewrite {
        let temporary = "\(place.path).new-\(Random.id())"
        do {
            let file = try StateFile.create(temporary)
            try file.append(records.reduce(into: place.header) { $0 += $1.line })
            try file.sync()
            return Rewrite(file: file, from: place)
        } catch {
            StateFile.remove(temporary)
            throw error
        }
    }

    /// Puts the new file in the place of the old, with what was appended since, and returns that. Nil, and nothing is
    /// done, when another process has replaced the file meanwhile.
    mutating func adopt(_ rewrite: consuming Rewrite) throws(StateError) -> [Record]? {
        var missed: [Record] = []
        do {
            // A file that somebody removed or cut cannot be caught up with; ours takes its place all the same.
            let locked = (try? lockCurrent()) != nil
            defer { if locked { file.unlock() } }
            if locked, try file.status().inode != rewrite.from.inode {
                StateFile.remove(rewrite.file.path)
                return nil
            }
            if locked, let caughtUp = try? catchUp() {
                missed = caughtUp
                try rewrite.file.append(file.read(from: rewrite.from.offset, count: offset - rewrite.from.offset))
            }
            try StateFile.rename(rewrite.file.path, to: path)
        } catch {
            StateFile.remove(rewrite.file.path)
            throw error
        }
        guard let adopted = try Self.reopen(path) else { throw StateError(path: path, reason: "vanished") }
        file = adopted
        offset = rewrite.from.header.count
        lines = 0
        beginning = rewrite.from.beginning
        isDisowned = false
        missed += try begin()
        end()
        return missed
    }

    /// Waits until the disk has every line.
    func sync() throws(StateError) { try file.sync() }
}
