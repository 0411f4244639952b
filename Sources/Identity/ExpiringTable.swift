internal import Synchronization

/// Keys that stay until a time, in memory and in a file of `state`, each with a value. Any thread; an insertion takes
/// a lock and a handful of short system calls, a look-up only the lock.
///
/// When the disk fails the table goes on in memory, remembers why, and tries to write everything anew at each sweep.
final class ExpiringTable: Sendable {
    typealias Record = ExpiringLog.Record

    private struct Entry {
        var expires: Int64
        var value: String
    }

    private struct State: ~Copyable {
        var entries: [String: Entry] = [:]
        var log: ExpiringLog?
        /// Why the file does not hold all that memory does.
        var failure: StateError?

        /// The first value stays and the later expiry wins, so that every reader of the lines ends with the same.
        mutating func apply(_ record: Record) {
            let known = entries[record.key]
            entries[record.key] = Entry(
                expires: max(record.expires, known?.expires ?? record.expires), value: known?.value ?? record.value)
        }

        mutating func apply(_ records: [Record]) {
            for record in records { apply(record) }
        }

        func records(at now: Int64) -> [Record] {
            entries.compactMap { key, entry in
                entry.expires > now ? Record(expires: entry.expires, key: key, value: entry.value) : nil
            }
        }
    }

    private let state: Mutex<State>
    /// When the record begins, seconds since 1970.
    let beginning: Int64
    /// Lines of the file that could not be understood when it was opened.
    let damagedLines: Int

    /// Opens the table of this name in `directory`, or makes one that begins at `beginning`; without a directory it
    /// is kept in memory only.
    init(directory: String?, name: String, beginning: Int64, now: Int64) throws(StateError) {
        var initial = State()
        if let directory {
            var log = try ExpiringLog(path: "\(directory)/\(name)", kind: name, beginning: beginning)
            let records = try log.begin()
            log.end()
            self.beginning = log.beginning
            damagedLines = log.damagedLines
            initial.log = consume log
            initial.apply(records.filter { $0.expires > now })
        } else {
            self.beginning = beginning
            damagedLines = 0
        }
        state = Mutex(initial)
    }

    /// The value of a key; nil when it is not there. Sees what this process inserted, and others' after a sweep.
    func value(_ key: String) -> String? {
        state.withLock { $0.entries[key]?.value }
    }

    var isEmpty: Bool { state.withLock { $0.entries.isEmpty } }

    var count: Int { state.withLock { $0.entries.count } }

    /// All that is there, in no order.
    var records: [Record] { state.withLock { $0.records(at: .min) } }

    /// Why the file is behind memory; nil when it is not.
    var failure: StateError? { state.withLock { $0.failure } }

    /// Adds a key, or lets it stay longer, in memory and on disk; other processes that share the file are asked first.
    /// - Returns: the value it already had; nil when it is new.
    @discardableResult
    func insert(_ key: String, value: String, expires: Int64) -> String? {
        let record = Record(expires: expires, key: key, value: value)
        return state.withLock { state in
            do throws(StateError) {
                if state.log != nil { state.apply(try state.log!.begin()) }
                defer { state.log?.end() }
                let known = state.entries[key]
                state.apply(record)
                if known == nil || known!.expires < expires {
                    try state.log?.append(record)
                }
                return known?.value
            } catch {
                state.failure = error
                let known = state.entries[key]?.value
                state.apply(record)
                return known
            }
        }
    }

    /// Waits until the disk has all of it. Not on an event loop.
    func sync() throws(StateError) {
        try state.withLock { state throws(StateError) in
            if let failure = state.failure { throw failure }
            try state.log?.sync()
        }
    }

    /// Drops what has expired, reads what other processes added, and rewrites the file when most of it is dead. Waits
    /// for the disk, but without the lock: not on an event loop.
    func sweep(now: Int64) {
        let rewriting = state.withLock { state -> (ExpiringLog.Place, [Record])? in
            do throws(StateError) {
                if state.log != nil {
                    state.apply(try state.log!.begin())
                    state.log?.end()
                }
            } catch {
                state.failure = error
            }
            state.entries = state.entries.filter { $0.value.expires > now }
            guard let lines = state.log?.lines, let place = try? state.log?.place() else { return nil }
            let wasteful = lines > 1024 && lines > 4 * state.entries.count
            return wasteful || state.failure != nil ? (place, state.records(at: now)) : nil
        }
        guard let (place, records) = rewriting else { return }
        do throws(StateError) {
            let rewrite = try ExpiringLog.write(records, from: place)
            try adopt(rewrite)
        } catch {
            state.withLock { $0.failure = error }
        }
    }

    private func adopt(_ rewrite: consuming ExpiringLog.Rewrite) throws(StateError) {
        var rewrite = Optional(rewrite)
        try state.withLock { state throws(StateError) in
            guard let rewrite = rewrite.take(), state.log != nil else { return }
            state.apply(try state.log!.adopt(rewrite))
            state.failure = nil
        }
    }
}
