/// The message for a key nobody asked for.
func unknownKey(_ key: String, in path: String, among known: [String]) -> String {
    let place = path.isEmpty ? "" : " in \"\(path)\""
    guard let nearest = nearestKey(to: key, among: known) else {
        return "unknown key \(quoted(key))\(place); remove it"
    }
    return "unknown key \(quoted(key))\(place); the nearest known key is \"\(nearest)\""
}

/// The known key that takes the fewest edits to reach; the first of equals. A key that was cut short is near too.
func nearestKey(to key: String, among known: [String]) -> String? {
    let key = Array(key.lowercased().utf8.prefix(64))
    let distances = known.map { candidate in
        let isPrefix = key.count >= 3 && candidate.utf8.starts(with: key)
        return min(editDistance(key, Array(candidate.utf8)), isPrefix ? 2 : .max)
    }
    return zip(known, distances).min { $0.1 < $1.1 }?.0
}

/// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
func editDistance(_ a: [UInt8], _ b: [UInt8]) -> Int {
    var beforeLast: [Int] = []
    var last = Array(0...b.count)
    for i in a.indices {
        var row = [i + 1]
        for j in b.indices {
            var best = min(last[j + 1] + 1, row[j] + 1, last[j] + (a[i] == b[j] ? 0 : 1))
            if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
            row.append(best)
        }
        beforeLast = last
        last = row
    }
    return last[b.count]
}
