import CLinux
import Glibc
import Reactor
import Synchronization

/// Notices that files change, in whatever way: it looks at each of them every second, through all links, and inotify
/// tells it to look sooner.
///
/// It has a thread of its own, so that a file system that does not answer holds up nobody else. Any thread may call it.
final class FileWatch: Sendable {
    /// What it says, on its own thread.
    enum Report: Sendable {
        /// These files are others than when they were last reported or read.
        case changed(Set<String>)
        /// Changes are seen a little later than they might be, and why.
        case slower(String)
    }

    private let wanted = Mutex<[String: FileState]>([:])
    private let lastLookMs = Atomic<UInt64>(Clock.monotonicMs())

    /// Watches `files`, which were so before they were read.
    init(_ files: [String: FileState], report: @escaping @Sendable (Report) -> Void) throws(SystemError) {
        wanted.withLock { $0 = files }
        try Thread.start("files") { [self] in
            var watcher = Watcher(report: report)
            while true {
                watcher.turn(wanted.withLock { $0 })
                lastLookMs.store(Clock.monotonicMs(), ordering: .relaxed)
            }
        }
    }

    /// Watches these files from now on, and no others. What is known of one that is watched already stays.
    func watch(_ files: [String: FileState]) { wanted.withLock { $0 = files } }

    /// How long ago it last saw all files.
    func silenceMs(nowMs: UInt64) -> UInt64 { nowMs &- min(nowMs, lastLookMs.load(ordering: .relaxed)) }
}

/// The thread's own: what it saw, and what has changed and may change further.
private struct Watcher {
    private struct Change {
        var state: FileState
        /// When it began, and when it was last seen to go on.
        let sinceMs: UInt64
        var lastMs: UInt64
    }

    /// Between looks, when nothing happens.
    private static let periodMs: UInt64 = 1000
    /// Between looks while files change, or others in their folders do.
    private static let restMs: UInt64 = 50
    /// A burst of changes is over when nothing has happened for so long ...
    private static let quietMs: UInt64 = 100
    /// ... or so long, for a file that somebody still writes, or that is gone: the next is on its way.
    private static let unfinishedMs: UInt64 = 1000
    /// What is finished does not wait longer than this for another file of the same burst.
    private static let togetherMs: UInt64 = 1000
    /// Whoever never stops writing is not waited for.
    private static let longestMs: UInt64 = 5000

    private let report: (FileWatch.Report) -> Void
    private var seen: [String: FileState] = [:]
    private var changes: [String: Change] = [:]
    private var notices: FolderNotices?
    private var nextRefreshMs: UInt64 = 0

    init(report: @escaping (FileWatch.Report) -> Void) {
        self.report = report
        do {
            notices = try FolderNotices()
        } catch {
            report(
                .slower(
                    "no inotify (\(error); fs.inotify.max_user_instances may be too low): changed files are noticed within a second or two instead of at once"
                ))
        }
    }

    /// Waits a while, less when something happens, and looks at `wanted`.
    mutating func turn(_ wanted: [String: FileState]) {
        // What was reported last, or known before it was read.
        seen = Dictionary(uniqueKeysWithValues: wanted.map { ($0, seen[$0] ?? $1) })
        changes = changes.filter { wanted[$0.key] != nil }
        if Clock.monotonicMs() >= nextRefreshMs { refresh() }
        look()
        if changes.isEmpty {
            let leftMs = nextRefreshMs &- min(nextRefreshMs, Clock.monotonicMs())
            guard pause(ms: leftMs) else { return }
            look()
        }
        // However busy a folder is, it costs a few looks a second.
        _ = poll(nil, 0, Int32(Self.restMs))
    }

    /// Folders may have come, gone, or be others by now.
    private mutating func refresh() {
        nextRefreshMs = Clock.monotonicMs() + Self.periodMs
        for problem in notices?.follow(seen.keys) ?? [] { report(.slower(problem)) }
    }

    /// True when something happened in one of the folders.
    private func pause(ms: UInt64) -> Bool {
        guard let notices else {
            _ = poll(nil, 0, Int32(clamping: ms))
            return false
        }
        return notices.wait(ms: ms)
    }

    private mutating func look() {
        notices?.take()
        let now = Clock.monotonicMs()
        for (path, known) in seen {
            let state = FileState(of: path)
            if state == known {
                changes[path] = nil
            } else if let change = changes[path] {
                if change.state != state { changes[path] = Change(state: state, sinceMs: change.sinceMs, lastMs: now) }
            } else {
                changes[path] = Change(state: state, sinceMs: now, lastMs: now)
            }
        }
        let finished = changes.filter { isFinished($0.key, $0.value, now) }
        // Certificate and key, or all files of a mount, are replaced one by one and read together.
        let isLate = finished.values.contains { now &- $0.sinceMs >= Self.togetherMs }
        guard !finished.isEmpty, finished.count == changes.count || isLate else { return }
        for (path, change) in finished {
            seen[path] = change.state
            changes[path] = nil
        }
        nextRefreshMs = 0
        report(.changed(Set(finished.keys)))
    }

    private func isFinished(_ path: String, _ change: Change, _ now: UInt64) -> Bool {
        if now &- change.sinceMs >= Self.longestMs { return true }
        let isUnfinished = change.state.failure != 0 || notices?.isBeingWritten(path) ?? false
        return now &- change.lastMs >= (isUnfinished ? Self.unfinishedMs : Self.quietMs)
    }
}
