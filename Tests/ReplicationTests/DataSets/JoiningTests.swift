import Core
import Testing

@testable import Replication

/// A start without data that asks the nodes of its row.
@Suite struct JoiningTests {
  static let peers = [place(7401), place(7402), place(7403)]

  /// Asks, and gives what is done when all have answered.
  private func decides(
    _ own: Int, _ answers: [NodeAddress: NodeState?], master: NodeAddress? = nil,
    peers: [NodeAddress] = JoiningTests.peers
  ) -> [Joining.Action] {
    var machine = Joining(.init(id: node(UInt8(own)), address: place(7400 + own), peers: peers, master: master))
    var actions = machine.step(.start, now: at(0))
    let asked = actions.compactMap { if case .ask(let address) = $0 { address } else { nil } }
    #expect(asked == peers.filter { $0 != place(7400 + own) })
    for address in asked {
      switch answers[address] {
      case .some(.some(let state)): actions = machine.step(.answered(from: address, state), now: at(1))
      case .some(.none): actions = machine.step(.failed(from: address, "refused"), now: at(1))
      case .none: continue
      }
    }
    return asked.contains { answers[$0] == nil } ? machine.step(.tick, now: at(Joining.askMilliseconds)) : actions
  }

  private static func state(
    _ n: UInt8, _ role: NodeState.Role, data lineage: UInt8? = nil, term: UInt32 = 1, of master: UInt8? = nil,
    joining: Bool = false
  ) -> NodeState {
    var state = NodeState(
      id: node(n), address: place(7400 + Int(n)), role: role, lineage: node(lineage ?? 90 + n),
      reign: reign(term, of: n),
      last: lineage == nil ? .none : position(term, 50))
    state.isJoining = joining
    if let master { (state.masterID, state.master) = (node(master), place(7400 + Int(master))) }
    return state
  }
  private static func waits(_ actions: [Joining.Action], _ text: String, _ location: SourceLocation = #_sourceLocation)
  {
    guard case .say(let said)? = actions.first, actions.count == 1 else {
      Issue.record("\(actions)", sourceLocation: location)
      return
    }
    #expect(said.contains(text), "\(said)", sourceLocation: location)
  }
  private static func fresh(_ n: UInt8) -> NodeState? { state(n, .detached, joining: true) }

  @Test func theMasterOfTheRowIsFollowed() {
    let master = Self.state(2, .master, data: 9, term: 3)
    let slave = Self.state(3, .slave, data: 9, of: 2)
    #expect(decides(1, [place(7402): master, place(7403): slave]) == [.follow(place(7402))])
    // One answer is enough: there is data.
    #expect(decides(1, [place(7402): master, place(7403): nil]) == [.follow(place(7402))])
    // Of two, the newer one.
    let older = Self.state(3, .master, data: 9, term: 2)
    #expect(decides(1, [place(7402): master, place(7403): older]) == [.follow(place(7402))])
    // An empty row that has begun.
    #expect(decides(1, [place(7402): Self.state(2, .master), place(7403): Self.fresh(3)]) == [.follow(place(7402))])
  }

  @Test func nothingBeginsBesideData() {
    let slave = Self.state(2, .slave, data: 9, of: 1)
    Self.waits(decides(1, [place(7402): slave, place(7403): Self.fresh(3)]), "no master answers")
    Self.waits(decides(1, [place(7402): slave, place(7403): nil]), "PROMOTE the node that holds most")
    // Data and a master that begins another data set: a person decides.
    let other = Self.state(3, .master, data: 8)
    Self.waits(decides(1, [place(7402): slave, place(7403): other]), "different data sets")
  }

  @Test func theFirstOfTheListBeginsWhenAMajorityIsEmpty() {
    #expect(decides(1, [place(7402): Self.fresh(2), place(7403): Self.fresh(3)]) == [.begin])
    #expect(decides(1, [place(7402): Self.fresh(2), place(7403): nil]) == [.begin])
    #expect(decides(1, [place(7402): Self.fresh(2)]) == [.begin], "one says nothing at all")
    Self.waits(decides(1, [place(7402): nil, place(7403): nil]), "1 of its 3 peers answer")
    Self.waits(decides(2, [place(7401): nil, place(7403): Self.fresh(3)]), "the first of the list")
    Self.waits(decides(2, [place(7401): Self.fresh(1), place(7403): Self.fresh(3)]), "is about to begin")
    #expect(decides(1, [:], peers: [place(7401)]) == [.begin])
    Self.waits(decides(4, [place(7401): Self.fresh(1), place(7402): nil, place(7403): nil]), "not in the list")
    // A node of the list that answers twice counts once.
    let twice = [place(7401), place(7402), place(7502), place(7403), place(7503)]
    Self.waits(decides(1, [place(7402): Self.fresh(2), place(7502): Self.fresh(2)], peers: twice), "2 of its 5 peers")
  }

  @Test func aNodeKnowsItselfUnderAnyName() {
    #expect(
      decides(
        1, [place(7501): Self.state(1, .detached, joining: true), place(7402): Self.fresh(2), place(7403): nil],
        peers: [place(7501), place(7402), place(7403)]) == [.begin])
  }

  @Test func whoBeganTheRowBeginsItAgain() {
    let follower = Self.state(1, .slave, of: 2)
    #expect(decides(2, [place(7401): follower, place(7403): Self.state(3, .slave, of: 2)]) == [.begin])
  }

  @Test func aStartAsASlaveFollowsItsMasterIfNobodyKnowsBetter() {
    let other = place(7409)
    #expect(decides(2, [place(7401): nil, place(7403): nil], master: other) == [.follow(other)])
    #expect(decides(2, [place(7401): Self.fresh(1), place(7403): Self.fresh(3)], master: other) == [.follow(other)])
    let master = Self.state(3, .master, data: 9)
    #expect(decides(2, [place(7401): nil, place(7403): master], master: other) == [.follow(place(7403))])
  }

  @Test func aMasterOutsideTheListIsAskedToo() {
    var machine = Joining(.init(id: node(1), address: place(7401), peers: [place(7401), place(7402)]))
    _ = machine.step(.start, now: at(0))
    let slave = Self.state(2, .slave, data: 9, of: 50)
    Self.waits(machine.step(.answered(from: place(7402), slave), now: at(1)), "no master answers")
    #expect(machine.step(.tick, now: at(100)) == [], "not in haste")
    #expect(machine.step(.tick, now: at(400)) == [.ask(place(7402)), .ask(place(7450))])
    #expect(machine.step(.answered(from: place(7402), slave), now: at(401)) == [])
    let master = Self.state(50, .master, data: 9)
    #expect(machine.step(.answered(from: place(7450), master), now: at(402)) == [.follow(place(7450))])
    #expect(machine.step(.tick, now: at(9000)) == [], "once")
  }

  @Test func itSaysWhatItWaitsForEveryFewSeconds() {
    var machine = Joining(.init(id: node(2), address: place(7402), peers: Self.peers))
    var said = 0
    _ = machine.step(.start, now: at(0))
    for second in 1...20 {
      for tick in 0..<10 {
        for action in machine.step(.tick, now: at(UInt64(second * 1000 + tick * 100))) {
          switch action {
          case .ask(let address):
            for action in machine.step(.failed(from: address, "refused"), now: at(UInt64(second * 1000 + tick * 100))) {
              if case .say = action { said += 1 }
            }
          case .say: said += 1
          case .follow, .begin: Issue.record("\(action)")
          }
        }
      }
    }
    #expect((3...5).contains(said), "\(said)")
    #expect(machine.waiting.contains("refused"))
  }
}
