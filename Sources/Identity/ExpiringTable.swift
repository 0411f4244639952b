internal import Synchronization

/// Keys that stay until a time, in memory and in a file of `state`, each with a value. Any thread; an insertion takes
/// a lock and a handful of short system calls, a look-up only the lock.
///
/// A key is forgotten when the wall clock and the steady one agree that its time is over, so that a wall clock that is
/// ahead for a while forgets nothing. When the disk fails the table goes on in memory, remembers why, and tries to
/// write everything anew at each sweep.
final class ExpiringTable: Sendable {
    typealias Record = ExpiringLog.Record

    /// What one table does differently from another.
    struct Traits: Sendable {
        /// A file that lacks a key is worse than none: when a line cannot be written, the next start finds no file, or one
        /// without a byte, and begins the record anew.
        var mustBeWhole = false
        /// Where there is no file nothing was ever recorded, and the record begins at 0; a file that lacks a key is emptied.
        var missingIsWhole = false
        /// Of a key's values, numbers then, the greatest stays; else the first.
        var keepsGreatest = false
        /// `takeNews` tells what other processes added.
        var tellsNews = false
        /// How long a start keeps at least what it reads, in seconds, as its clock may be ahead.
        var keptByStart: Int64 = 0
    }

    private struct Entry {
        /// Seconds since 1970.
        var expires: Int64
        /// The same by the steady clock, as it looked when the key came.
        var keptUntil: Int64
        var value: String
    }

    private struct State: ~Copyable {
        let traits: Traits
        var entries: [String: Entry] = [:]
        var log: ExpiringLog?
        /// Why the file does not hold all that memory does.
        var failure: StateError?
        /// How often something stayed in memory only.
        var failures = 0
        /// Nothing expires sooner.
        var earliest = Int64.max
        /// The latest expiry of all that was forgotten.
        var forgottenUpTo = Int64.min
        var beginning: Int64
        /// The file's first line says another beginning.
        var isStale = false
        var news: [Record] = []

        init(_ traits: Traits, beginning: Int64) {
            self.traits = traits
            self.beginning = beginning
        }

        /// The later expiry wins, so that every reader of the lines ends with the same.
        mutating func apply(_ record: Record, _ now: Moment, keptAtLeast: Int64 = 0) {
            if record.key == ExpiringTable.forgottenKey {
                forgottenUpTo = max(forgottenUpTo, record.expires)
                return
            }
            let left = max(keptAtLeast, record.expires.subtractingReportingOverflow(now.epoch).partialValue)
            let (until, overflow) = now.steady.addingReportingOverflow(left)
            let keptUntil = overflow ? .max : until
            earliest = min(earliest, record.expires)
            guard let known = entries[record.key] else {
                entries[record.key] = Entry(expires: record.expires, keptUntil: keptUntil, value: record.value)
                return
            }
            let isGreater = traits.keepsGreatest && (Int64(record.value) ?? .min) > (Int64(known.value) ?? .min)
            entries[record.key] = Entry(
                expires: max(record.expires, known.expires), keptUntil: max(keptUntil, known.keptUntil),
                value: isGreater ? record.value : known.value)
        }

        /// Takes what other processes wrote.
        mutating func applyNews(_ records: [Record], _ now: Moment) {
            for record in records { apply(record, now) }
            if traits.tellsNews { news += records }
        }

        mutating func failed(_ error: StateError) {
            // The first reason is the cause of those that follow.
            failure = failure ?? error
            failures += 1
        }

        mutating func dropExpired(at now: Moment) {
            if now.epoch < earliest { return }
            var forgotten = forgottenUpTo
            entries = entries.filter {
                if $0.value.expires > now.epoch || $0.value.keptUntil > now.steady { return true }
                forgotten = max(forgotten, $0.value.expires)
                return false
            }
            forgottenUpTo = forgotten
            earliest = entries.values.reduce(.max) { min($0, $1.expires) }
        }

        /// Reads what others appended and leaves the file locked; false when that failed or there is no file.
        mutating func begin(patient: Bool, _ now: Moment) -> Bool {
            do throws(StateError) {
                guard let records = try log?.begin(patient: patient) else { return false }
                applyNews(records, now)
                return true
            } catch {
                failed(error)
                return false
            }
        }

        mutating func append(_ records: [Record]) {
            do throws(StateError) {
                try log?.append(records)
            } catch {
                failed(error)
                if traits.mustBeWhole { log?.disown() }
            }
        }

        /// All that is there, and what was forgotten.
        var records: [Record] {
            var records = entries.map { Record(expires: $1.expires, key: $0, value: $1.value) }
            if forgottenUpTo > .min {
                records.append(Record(expires: forgottenUpTo, key: ExpiringTable.forgottenKey, value: ""))
            }
            return records
        }
    }

    /// The key of the line that says what was forgotten; keys of tokens and sessions hold no control characters.
    private static let forgottenKey = "\0forgotten"

    private let state: Mutex<State>
    private let name: String
    private let path: String?
    /// Lines of the file that could not be understood when it was opened.
    let damagedLines: Int

    /// Opens the table of this name in `directory`, or makes one that begins at `beginning`; without a directory it
    /// is kept in memory only. When there is no file and none can be made, the table says so in `failure` and goes on.
    init(
        directory: String?, name: String, beginning: Int64, now: Moment, traits: Traits = Traits()
    ) throws(StateError) {
        self.name = name
        path = directory.map { "\($0)/\(name)" }
        var beginning = beginning
        if traits.missingIsWhole, let path, try StateFile.status(path) == nil { beginning = 0 }
        var initial = State(traits, beginning: beginning)
        var damagedLines = 0
        if let path {
            if try !ExpiringLog.exists(path) {
                // Without a directory it is no full disk.
                _ = try StateFile.directory(of: path)
                do throws(StateError) {
                    try ExpiringLog.make(path, kind: name, beginning: beginning)
                } catch {
                    initial.failed(error)
                }
            }
            if initial.failure == nil {
                var log = try ExpiringLog(path: path, kind: name, empties: traits.missingIsWhole)
                let records = try log.begin()
                log.end()
                damagedLines = log.damagedLines
                // What damaged lines said nobody knows; a record that begins in the future was begun under a clock
                // that was ahead.
                if damagedLines > 0 || log.beginning > beginning {
                    log.beginning = beginning
                    initial.isStale = true
                }
                initial.beginning = log.beginning
                initial.log = consume log
                for record in records { initial.apply(record, now, keptAtLeast: traits.keptByStart) }
                initial.dropExpired(at: now)
            }
        }
        self.damagedLines = damagedLines
        state = Mutex(initial)
    }

    /// The value of a key; nil when it is not there. Sees what this process inserted, and others' after `readOthers`.
    func value(_ key: String) -> String? {
        state.withLock { $0.entries[key]?.value }
    }

    var isEmpty: Bool { state.withLock { $0.entries.isEmpty } }

    var count: Int { state.withLock { $0.entries.count } }

    /// All keys that are there, in no order.
    var keys: [String] { state.withLock { Array($0.entries.keys) } }

    /// Why the file is behind memory; nil when it is not.
    var failure: StateError? { state.withLock { $0.failure } }

    /// When the record begins, seconds since 1970.
    var beginning: Int64 { state.withLock { $0.beginning } }

    /// The latest expiry among all that was forgotten.
    var forgottenUpTo: Int64 { state.withLock { $0.forgottenUpTo } }

    /// Lets the record begin at `moment` if that is sooner by more than a second, which a rewrite may have added; the next
    /// sweep writes it down.
    func begin(notAfter moment: Int64) {
        state.withLock { state in
            if moment + 1 < state.beginning { state.beginning = moment }
            guard let written = state.log?.beginning, moment + 1 < written else { return }
            state.log?.beginning = moment
            state.isStale = true
        }
    }

    /// Adds a key, or lets it stay longer, in memory and on disk; other processes that share the file are asked first.
    /// - Returns: the value it already had; nil when it is new.
    @discardableResult
    func insert(_ key: String, value: String, expires: Int64, now: Moment) -> String? {
        let record = Record(expires: expires, key: key, value: value)
        return state.withLock { state in
            let locked = state.begin(patient: state.failure == nil, now)
            let known = state.entries[key]
            state.apply(record, now)
            if locked {
                if known == nil || known!.expires < expires { state.append([record]) }
                state.log?.end()
            }
            return known?.value
        }
    }

    /// Adds many with one write.
    func insert(_ records: [Record], now: Moment) {
        if records.isEmpty { return }
        state.withLock { state in
            let locked = state.begin(patient: state.failure == nil, now)
            for record in records { state.apply(record, now) }
            if locked {
                state.append(records)
                state.log?.end()
            }
        }
    }

    /// Reads what other processes added, if they did; one system call when they did not. What fails here fails again in
    /// `sweep`, which says so.
    func readOthers(now: Moment) {
        state.withLock { state in
            guard state.log?.hasNews ?? false, let records = try? state.log?.begin(patient: false) else { return }
            state.log?.end()
            state.applyNews(records, now)
        }
    }

    /// What other processes added since the last call. Something may come twice.
    func takeNews() -> [Record] {
        state.withLock { exchange(&$0.news, with: []) }
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
    func sweep(now: Moment) {
        if let path { openLate(path, now) }
        let rewriting = state.withLock { state -> (ExpiringLog.Place, [Record], failures: Int)? in
            if state.begin(patient: true, now) { state.log?.end() }
            state.dropExpired(at: now)
            guard let lines = state.log?.lines, let place = try? state.log?.place(now: now.epoch) else { return nil }
            let wasteful = lines > 1024 && lines > 4 * state.entries.count
            guard wasteful || state.failure != nil || state.isStale else { return nil }
            state.isStale = false
            return (place, state.records, state.failures)
        }
        guard let (place, records, failures) = rewriting else { return }
        do throws(StateError) {
            try adopt(ExpiringLog.write(records, from: place), failures, now)
        } catch {
            state.withLock { $0.failed(error) }
        }
    }

    /// Makes the file that could not be made at the start.
    private func openLate(_ path: String, _ now: Moment) {
        state.withLock { state in
            guard state.log == nil else { return }
            do throws(StateError) {
                try ExpiringLog.make(path, kind: name, beginning: state.beginning)
                state.log = try ExpiringLog(path: path, kind: name, empties: state.traits.missingIsWhole)
            } catch {
                state.failed(error)
            }
        }
    }

    private func adopt(
        _ rewrite: consuming ExpiringLog.Rewrite, _ failures: Int, _ now: Moment
    ) throws(StateError) {
        var rewrite = Optional(rewrite)
        try state.withLock { state throws(StateError) in
            guard let rewrite = rewrite.take(), let missed = try state.log?.adopt(rewrite) else { return }
            state.applyNews(missed, now)
            // What failed while the new file was being written is not in it.
            if state.failures == failures { state.failure = nil }
        }
    }
}
