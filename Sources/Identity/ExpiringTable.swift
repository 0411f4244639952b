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
        /// How often something stayed in memory only.
        var failures = 0
        /// Nothing expires sooner.
        var earliest = Int64.max

        /// The first value stays and the later expiry wins, so that every reader of the lines ends with the same.
        mutating func apply(_ record: Record) {
            let known = entries[record.key]
            earliest = min(earliest, record.expires)
            entries[record.key] = Entry(
                expires: max(record.expires, known?.expires ?? record.expires), value: known?.value ?? record.value)
        }

        mutating func apply(_ records: [Record]) {
            for record in records { apply(record) }
        }

        mutating func failed(_ error: StateError) {
            failure = error
            failures += 1
        }

        mutating func dropExpired(at now: Int64) {
            if now < earliest { return }
            entries = entries.filter { $0.value.expires > now }
            earliest = entries.values.reduce(.max) { min($0, $1.expires) }
        }

        /// Reads what others appended and leaves the file locked; false when that failed or there is no file.
        mutating func begin(patient: Bool) -> Bool {
            do throws(StateError) {
                guard let records = try log?.begin(patient: patient) else { return false }
                apply(records)
                return true
            } catch {
                failed(error)
                return false
            }
        }

        mutating func append(_ record: Record) {
            do throws(StateError) {
                try log?.append(record)
            } catch {
                failed(error)
            }
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
            let locked = state.begin(patient: state.failure == nil)
            let known = state.entries[key]
            state.apply(record)
            if locked {
                if known == nil || known!.expires < expires { state.append(record) }
                state.log?.end()
            }
            return known?.value
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
        let rewriting = state.withLock { state -> (ExpiringLog.Place, [Record], failures: Int)? in
            if state.begin(patient: true) { state.log?.end() }
            state.dropExpired(at: now)
            guard let lines = state.log?.lines, let place = try? state.log?.place() else { return nil }
            let wasteful = lines > 1024 && lines > 4 * state.entries.count
            return wasteful || state.failure != nil ? (place, state.records(at: now), state.failures) : nil
        }
        guard let (place, records, failures) = rewriting else { return }
        do throws(StateError) {
            try adopt(ExpiringLog.write(records, from: place), failures)
        } catch {
            state.withLock { $0.failed(error) }
        }
    }

    private func adopt(_ rewrite: consuming ExpiringLog.Rewrite, _ failures: Int) throws(StateError) {
        var rewrite = Optional(rewrite)
        try state.withLock { state throws(StateError) in
            guard let rewrite = rewrite.take(), let missed = try state.log?.adopt(rewrite) else { return }
            state.apply(missed)
            // What failed while the new file was being written is not in it.
            if state.failures == failures { state.failure = nil }
        }
    }
}
