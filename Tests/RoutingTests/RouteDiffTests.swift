import Routing
import Testing
import Wire

@Suite struct RouteDiffTests {
    private let before = table(
        [ide(1, 1), ide(2, 2), ide(3, 3), ide(9, 9)], minecraft: [minecraft("a"), minecraft("b")])

    @Test func equalTablesDifferInNothing() {
        let diff = RouteDiff.between(before, before)
        #expect(diff.isEmpty)
        #expect(diff.description == "added: 0, changed: 0, removed: 0")
    }

    @Test func namesWhatIsAddedChangedAndRemoved() {
        let after = table(
            [ide(0, 7), ide(2, 2, generation: "new"), ide(3, 4), ide(9, 9), ide(10, 10)],
            minecraft: [minecraft("b", last: 2), minecraft("c")])
        let diff = RouteDiff.between(before, after)
        #expect(diff.added == [0, 10])
        #expect(diff.changed == [2, 3])
        #expect(diff.removed == [1])
        #expect(diff.minecraftAdded == ["c"])
        #expect(diff.minecraftChanged == ["b"])
        #expect(diff.minecraftRemoved == ["a"])
        #expect(diff.description == "added: 3 (0, 10, c), changed: 3 (2, 3, b), removed: 2 (1, a)")
    }

    @Test func aPortAloneIsAChange() {
        let diff = RouteDiff.between(table([ide(1, 1)]), table([ide(1, 1, port: 6001)]))
        #expect(diff.changed == [1])
    }

    @Test func aConflictThatComesMovesNobody() {
        let diff = RouteDiff.between(table([ide(1, 1)]), table([ide(1, 1), ide(2, 1)]))
        #expect(diff == RouteDiff.between(table([]), table([ide(2, 1)])))
    }

    @Test func emptyTablesAreFullyAddedOrRemoved() {
        #expect(RouteDiff.between(.empty, before).added == [1, 2, 3, 9])
        #expect(RouteDiff.between(before, .empty).removed == [1, 2, 3, 9])
        #expect(RouteDiff.between(before, .empty).minecraftRemoved == ["a", "b"])
    }

    @Test func onlyTheFirstNamesAreShown() {
        let diff = RouteDiff.between(.empty, table((1...100).map { ide($0, $0) }))
        #expect(diff.description == "added: 100 (1, 2, 3, 4, 5, …), changed: 0, removed: 0")
    }
}
