import Limits
import Observe
import Transport
import Wire

/// What a loop gives up while memory is short.
extension Worker {
    /// One round of relief: gives back what is kept for later, and closes what has to go.
    func relieve(_ shed: MemoryShed) {
        trim()
        if shed.closesIdle { closeIdle(notAfter: .max, atMost: max(16, allClients.count / 4), .memory) }
        var holders: [Downstream] = []
        var candidates: [MemoryShed.Candidate] = []
        var bySource: [IPAddress: Int] = [:]
        forEachHolder { holder, held, taken in
            holders.append(holder)
            let isStalled = holder.stallSample.look(moved: taken, held: held, nowMs: nowMs)
            candidates.append(.init(held: held, isStalled: isStalled))
            bySource[holder.address, default: 0] += held + MemoryShed.connectionBytes
        }
        for index in candidates.indices { candidates[index].heldBySource = bySource[holders[index].address] ?? 0 }
        shared.noteStalled(candidates.reduce(0) { $1.isStalled ? max($0, $1.held) : $0 })
        for index in shed.victims(among: candidates, loops: shared.loopCount) { holders[index].shed() }
    }

    /// Calls `look` with everything that may hold bytes for somebody slow, how many it holds and how many were taken:
    /// each stream of HTTP/2 by itself, so that one download does not cost its browser all others.
    private func forEachHolder(_ look: (Downstream, Int, UInt64) -> Void) {
        for client in allClients {
            guard let http2 = client.http2 else {
                look(client, client.heldBytes, client.bytesTaken)
                continue
            }
            look(client, client.stream.pendingBytes, client.bytesTaken)
            for case let stream? in http2.streams where stream.isOpen || stream.heldBytes > 0 {
                look(stream, stream.heldBytes, stream.bytesTaken)
            }
        }
    }
}
