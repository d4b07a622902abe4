import Core
import Testing

@testable import Replication

@Suite struct UpstreamWalkTests {
  private static func id(_ byte: UInt8) -> NodeID { NodeID(random: [UInt8](repeating: byte, count: 20)) }
  private let own = id(5)
  private func address(_ port: Int) -> NodeAddress { NodeAddress(host: "h", port: port)! }
  private func node(
    _ byte: UInt8, _ role: NodeState.Role = .slave, follows port: Int? = nil, last: UInt64 = 10
  ) -> NodeState {
    var state = NodeState(
      id: Self.id(byte), address: address(Int(byte)), role: role, lineage: nil, reign: .none,
      last: Position(Reign(term: Term(1), owner: own), lsn: LSN(last)))
    state.master = port.map(address)
    return state
  }
  private func at(_ ms: UInt64) -> Tick { Tick(milliseconds: ms) }

  @Test func aMasterAtTheTopIsFound() {
    var walk = UpstreamWalk(own: own)
    #expect(walk.answered(.success(node(1, follows: 2))) == .ask(address(2)))
    #expect(walk.answered(.success(node(2, follows: 3))) == .ask(address(3)))
    #expect(walk.answered(.success(node(3, .master))) == .ended(.master(Self.id(3))))
  }

  @Test func oneselfIsKnownByTheIdThatAnswers() {
    var walk = UpstreamWalk(own: own)
    #expect(walk.answered(.success(node(5, follows: 8))) == .ended(.itself))
  }

  @Test func ringsOfOthersAreNotOnesOwn() {
    var mine = UpstreamWalk(own: own)
    _ = mine.answered(.success(node(1, follows: 2)))
    #expect(mine.answered(.success(node(5, follows: 1))) == .ended(.ring([node(1, follows: 2)])))
    var others = UpstreamWalk(own: own)
    _ = others.answered(.success(node(1, follows: 2)))
    _ = others.answered(.success(node(2, follows: 1)))
    guard case .ended(.open) = others.answered(.success(node(1, follows: 2))) else {
      return #expect(Bool(false), "a ring above")
    }
  }

  @Test func onlyTheFirstAddressTellsOfTheOrder() {
    var first = UpstreamWalk(own: own)
    #expect(first.answered(.failure(.silent("refused"))) == .ended(.silent("refused")))
    var second = UpstreamWalk(own: own)
    _ = second.answered(.success(node(1, follows: 2)))
    #expect(second.answered(.failure(.noNode("HTTP"))) == .ended(.open("HTTP")))
  }

  @Test func anOrderIsUndoneWhenItLedNowhere() {
    var order = OrderWatch(target: address(1), former: .master, now: at(0))
    #expect(order.saw(.ring([node(1)]), now: at(10)) == .wait)
    guard case .undone = order.saw(.ring([node(1)]), now: at(510)) else { return #expect(Bool(false)) }
    guard case .undone = order.saw(.itself, now: at(520)) else { return #expect(Bool(false)) }
    #expect(order.saw(.master(own), now: at(530)) == .stands)
    #expect(order.saw(.noNode("x"), now: at(600)) == .wait)
    guard case .undone = order.saw(.noNode("x"), now: at(2600)) else { return #expect(Bool(false)) }
    #expect(order.saw(.silent("x"), now: at(14_000)) == .wait)
    guard case .undone = order.saw(.silent("x"), now: at(15_000)) else { return #expect(Bool(false)) }
    #expect(order.saw(.open("x"), now: at(60_000)) == .wait)
    var slave = OrderWatch(target: address(1), former: .slave(of: address(2)), now: at(0))
    #expect(slave.saw(.silent("x"), now: at(600_000)) == .wait, "a slave has nothing to win by going back")
  }

  @Test func aRingIsBrokenByTheNewestLogThenTheLargestId() {
    func breaks(_ own: UInt8, _ last: UInt64, _ nodes: [NodeState], isWhole: Bool = true) -> Bool {
      var ring = RingWatch()
      let position = Position(Reign(term: Term(1), owner: self.own), lsn: LSN(last))
      let outcome = UpstreamWalk.Outcome.ring(nodes)
      let saw1 = ring.saw(outcome, own: Self.id(own), last: position, isWhole: isWhole, now: at(0))
      #expect(!saw1)
      return ring.saw(outcome, own: Self.id(own), last: position, isWhole: isWhole, now: at(2000))
    }
    #expect(breaks(5, 11, [node(1), node(9)]))
    #expect(!breaks(5, 10, [node(1), node(9)]) && breaks(9, 10, [node(1), node(5)]))
    #expect(!breaks(5, 9, [node(1)]) && breaks(1, 10, [node(5, last: 9)]))
    #expect(!breaks(5, 11, [node(1)], isWhole: false))
  }

  @Test func aRingThatChangesIsLookedAtAnew() {
    var ring = RingWatch()
    let last = Position(Reign(term: Term(1), owner: own), lsn: LSN(11))
    let saw2 = ring.saw(.ring([node(1)]), own: own, last: last, isWhole: true, now: at(0))
    #expect(!saw2)
    let saw3 = ring.saw(.ring([node(2)]), own: own, last: last, isWhole: true, now: at(2000))
    #expect(!saw3)
    let saw4 = ring.saw(.open("x"), own: own, last: last, isWhole: true, now: at(4000))
    #expect(!saw4)
    let saw5 = ring.saw(.ring([node(2)]), own: own, last: last, isWhole: true, now: at(4500))
    #expect(!saw5)
    let saw6 = ring.saw(.ring([node(2)]), own: own, last: last, isWhole: true, now: at(6000))
    #expect(saw6)
  }

  @Test func aPathIsReadBackAndBounded() throws {
    let path = UpstreamPath(nodes: [Self.id(1), Self.id(2)])
    #expect(try UpstreamPath.decode(path.encoded()) == path)
    #expect(throws: FrameError.self) { try UpstreamPath.decode([1, 255, 255]) }
  }
}
