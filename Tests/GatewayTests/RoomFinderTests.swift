import Reactor
import Synchronization
import Testing

@testable import Gateway

struct RoomFinderTests {
    /// Loops read the clock before they take the lock, so that one with an earlier time may come later.
    @Test func loops_that_look_for_room_at_the_same_moment_do_not_trap() async throws {
        let rooms = RoomFinder()
        // Nobody answers: a round is always under way.
        rooms.add(try Mailbox<WorkerMessage>(), loop: 0)
        let endMs = Clock.monotonicMs() + 1000
        await withTaskGroup { group in
            for loop in 0..<4 {
                group.addTask { while Clock.monotonicMs() < endMs { rooms.want(loop: loop) } }
            }
        }
    }
}
