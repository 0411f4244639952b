import Reactor
import Testing

@Suite struct SourceListTests {
    /// Whoever leaves, first, last or in between, the others stay and can leave.
    @Test(arguments: [[0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0]])
    func everyOneCanLeave(order: [Int]) {
        let sources = (0..<3).map { _ in EventSource() }
        var list = SourceList<EventSource>()
        for source in sources { list.add(source) }
        var left = Set([0, 1, 2])
        for index in order {
            let leaves = [list.remove(sources[index]), list.remove(sources[index])]
            #expect(leaves == [true, false], "only once")
            left.remove(index)
            #expect(Set(list.all.map(ObjectIdentifier.init)) == Set(left.map { ObjectIdentifier(sources[$0]) }))
        }
    }

    @Test func aSourceCanComeBack() {
        let source = EventSource()
        var list = SourceList<EventSource>()
        let wasThere = list.remove(source)
        list.add(source)
        let left = list.remove(source)
        list.add(source)
        #expect(!wasThere && left && list.all.count == 1)
    }
}
