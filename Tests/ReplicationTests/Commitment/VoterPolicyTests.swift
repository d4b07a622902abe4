import Core
import Testing

@testable import Replication

@Suite struct VoterPolicyTests {
  /// A slave that follows and has shown its data, heard of just now, at a port of its own.
  static func here(_ id: UInt8, port: Int? = nil, _ change: (inout VoterFacts) -> Void = { _ in }) -> VoterFacts {
    var facts = VoterFacts(
      id: node(id), address: place(port ?? 7400 + Int(id)), isCounting: true, hasShownData: true, wantsToVote: true,
      heardAt: at(100_000))
    change(&facts)
    return facts
  }
  /// One that is away, and was heard of so long ago.
  static func away(_ id: UInt8, port: Int? = nil, for milliseconds: UInt64 = 60_000) -> VoterFacts {
    here(id, port: port) {
      ($0.isCounting, $0.hasShownData) = (false, false)
      $0.heardAt = at(100_000 - milliseconds)
    }
  }
  static func row(_ voters: [UInt8], _ nodes: [VoterFacts], mayChange: Bool = true) -> VoterRow {
    VoterRow(
      ownID: node(1), voters: VoterList(voters.map(node), at: LSN(5)), mayChange: mayChange, securedLSN: LSN(90),
      lastLSN: LSN(100), nodes: nodes, now: at(100_000))
  }
  static func changed(_ step: VoterStep) -> [NodeID]? { if case .change(let ids, _) = step { ids } else { nil } }
  static func why(_ step: VoterStep) -> String { if case .waiting(let text) = step { text } else { "not waiting" } }

  @Test func votersComeOneByOne() {
    var policy = VoterPolicy()
    #expect(policy.next(Self.row([], [])) == .none)
    #expect(Self.changed(policy.next(Self.row([], [Self.here(3), Self.here(2)]))) == [node(1)])
    #expect(Self.changed(policy.next(Self.row([1], [Self.here(3), Self.here(2)]))) == [1, 2].map(node))
    #expect(policy.next(Self.row([1], [Self.here(3), Self.here(2)], mayChange: false)) == .none)
    #expect(Self.changed(policy.next(Self.row([1, 2], [Self.here(3), Self.here(2)]))) == [1, 2, 3].map(node))
    #expect(policy.next(Self.row([1, 2, 3], [Self.here(3), Self.here(2)])) == .none)
  }

  @Test func aMasterThatIsNoVoterMakesNoList() {
    var policy = VoterPolicy()
    var row = Self.row([], [Self.here(2)])
    row.isVoter = false
    #expect(policy.next(row) == .none)
  }

  @Test func aLearnerThatWasMadeMasterBecomesAVoter() {
    var policy = VoterPolicy(votersMax: 3)
    #expect(Self.changed(policy.next(Self.row([2, 3], [Self.here(2), Self.here(3)]))) == [1, 2, 3].map(node))
    #expect(policy.next(Self.row([2, 3, 4], [2, 3, 4].map { Self.here($0) })) == .none)
  }

  @Test(arguments: [
    here(2) { $0.hasShownData = false }, here(2) { $0.isCounting = false }, here(2) { $0.wantsToVote = false },
    here(2) { $0.heardAt = at(90_000) },
  ]) func whoHasOnlyRegisteredNeverVotes(slave: VoterFacts) {
    var policy = VoterPolicy()
    #expect(policy.next(Self.row([], [slave])) == .none)
    #expect(policy.next(Self.row([1], [slave])) == .none)
    #expect(throws: ReplicationError.self) { try policy.add(slave.id, Self.row([1], [slave])) }
  }

  @Test func noVoterIsAddedWhileAnotherIsSilentAndTheCommandIsNamed() {
    var policy = VoterPolicy()
    let step = policy.next(Self.row([1, 2, 3], [Self.here(2), Self.away(3), Self.here(4)]))
    #expect(Self.why(step).contains("MS_VOTER \(node(3)) no") && Self.why(step).contains("10.0.0.1:7403"))
    #expect(throws: ReplicationError.self) {
      try policy.add(node(4), Self.row([1, 2, 3], [Self.here(2), Self.away(3), Self.here(4)]))
    }
  }

  @Test func aNewIDAtTheAddressOfASilentVoterReplacesItInTwoSteps() {
    var policy = VoterPolicy()
    let nodes = [Self.here(2), Self.away(3, port: 7500), Self.here(4, port: 7500)]
    #expect(Self.changed(policy.next(Self.row([1, 2, 3], nodes))) == [1, 2].map(node))
    #expect(Self.changed(policy.next(Self.row([1, 2], nodes))) == [1, 2, 4].map(node))
    // Not before it is silent long enough, and not when nothing answers in its place.
    let fresh = [Self.here(2), Self.away(3, port: 7500, for: 4000), Self.here(4, port: 7500)]
    #expect(Self.why(policy.next(Self.row([1, 2, 3], fresh))).contains("takes the place"))
    #expect(policy.next(Self.row([1, 2, 3], [Self.here(2), Self.away(3)])) == .none)
    // Without a majority of the list before it, nothing goes by itself.
    let alone = policy.next(Self.row([1, 3], [Self.away(3, port: 7500), Self.here(4, port: 7500)]))
    #expect(Self.why(alone).contains("MS_VOTER \(node(3)) no FORCE"))
  }

  @Test func byItselfOnlyUpToTheMaximumAndByOrderBeyond() throws {
    var policy = VoterPolicy(votersMax: 3)
    let nodes = [2, 3, 4].map { Self.here($0) }
    #expect(Self.why(policy.next(Self.row([1, 2, 3], nodes))).contains("learner"))
    #expect(try policy.add(node(4), Self.row([1, 2, 3], nodes)) == .change([1, 2, 3, 4].map(node), isForced: false))
  }

  @Test func whoSaysThatItDoesNotVoteGoes() {
    var policy = VoterPolicy()
    let leaving = Self.here(2) { $0.wantsToVote = false }
    #expect(Self.changed(policy.next(Self.row([1, 2, 3], [leaving, Self.here(3)]))) == [1, 3].map(node))
    // But a client that says so in its name has shown nothing.
    var lying = leaving
    lying.hasShownData = false
    #expect(policy.next(Self.row([1, 2, 3], [lying, Self.here(3)])) == .none)
  }

  @Test func anOrderTakesOutAndIsNotUndoneByItself() throws {
    var policy = VoterPolicy()
    let nodes = [Self.here(2), Self.here(3)]
    #expect(
      try policy.remove([node(3)], isForced: false, Self.row([1, 2, 3], nodes))
        == .change([1, 2].map(node), isForced: false))
    #expect(policy.next(Self.row([1, 2], nodes)) == .none)
    #expect(try policy.add(node(3), Self.row([1, 2], nodes)) == .change([1, 2, 3].map(node), isForced: false))
    #expect(throws: ReplicationError.self) { try policy.remove([node(9)], isForced: true, Self.row([1, 2, 3], nodes)) }
    #expect(throws: ReplicationError.self) { try policy.remove([node(1)], isForced: false, Self.row([1], nodes)) }
  }

  @Test func severalGoOneByOneWhereAMajorityIsThere() throws {
    var policy = VoterPolicy()
    let nodes = [Self.here(2), Self.here(3), Self.away(4), Self.away(5)]
    #expect(
      try policy.remove([node(4), node(5)], isForced: true, Self.row([1, 2, 3, 4, 5], nodes))
        == .change([1, 2, 3, 5].map(node), isForced: false))
    #expect(policy.next(Self.row([1, 2, 3, 5], nodes, mayChange: false)) == .none)
    #expect(Self.changed(policy.next(Self.row([1, 2, 3, 5], nodes))) == [1, 2, 3].map(node))
    #expect(policy.next(Self.row([1, 2, 3], nodes)) == .none)
  }

  @Test func aLastLivingVoterIsNotTakenOutByMistake() {
    var policy = VoterPolicy()
    let nodes = [Self.here(2), Self.away(3)]
    #expect(throws: ReplicationError.self) {
      try policy.remove([node(2)], isForced: false, Self.row([1, 2, 3], nodes))
    }
  }

  @Test func withoutAMajorityItIsRefusedWithWhatMayBeLostAndDoneByForce() throws {
    var policy = VoterPolicy()
    let five = Self.row([1, 2, 3, 4, 5], [Self.here(2), Self.away(3), Self.away(4), Self.away(5)], mayChange: false)
    do {
      _ = try policy.remove([node(3)], isForced: false, five)
      Issue.record("not refused")
    } catch {
      #expect(error.message.contains("LSN 91 to 100") && error.message.contains("may be lost"))
      #expect(error.message.contains("MS_VOTER \(node(3)) no FORCE"))
    }
    #expect(
      try policy.remove([3, 4, 5].map(node), isForced: true, five) == .change([1, 2].map(node), isForced: true))
    #expect(try policy.remove([node(3)], isForced: true, five) == .change([1, 2, 4, 5].map(node), isForced: true))
    #expect(throws: ReplicationError.self) { try policy.remove([1, 3, 4].map(node), isForced: true, five) }
  }

  /// Nodes that come, go, come back empty, resign and lie, and orders in between: whatever the order of events, lists
  /// change by one node, with a majority of the list before it there, and nobody comes in who has shown nothing.
  @Test(arguments: 0..<300 as Range<UInt64>) func listsChangeByOneWithAMajority(seed: UInt64) {
    var rng = Seeded(seed)
    var policy = VoterPolicy(votersMax: Int.random(in: 1...6, using: &rng))
    var nodes: [VoterFacts] = []
    var voters: [NodeID] = []
    var ordered: Set<NodeID> = []
    var now: UInt64 = 100_000
    var nextID: UInt8 = 2
    for _ in 0..<400 {
      now += UInt64.random(in: 0...3000, using: &rng)
      for i in nodes.indices where nodes[i].isCounting { nodes[i].heardAt = at(now) }
      let i = nodes.indices.randomElement(using: &rng)
      switch (Int.random(in: 0..<9, using: &rng), i) {
      case (0, _) where nextID < 200:
        nodes.append(Self.here(nextID) { ($0.isCounting, $0.hasShownData) = (false, false) })
        nextID += 1
      case (1, let i?): nodes[i].isCounting = true
      case (2, let i?): nodes[i].hasShownData = nodes[i].isCounting
      case (3, let i?): (nodes[i].isCounting, nodes[i].hasShownData) = (false, false)
      case (4, let i?) where nextID < 200:  // back with an empty directory
        (nodes[i].isCounting, nodes[i].hasShownData) = (false, false)
        nodes.append(Self.here(nextID, port: Int(nodes[i].address.port)) { $0.heardAt = at(now) })
        nextID += 1
      case (5, let i?): nodes[i].wantsToVote.toggle()
      default: break
      }
      var row = VoterRow(
        ownID: node(1), voters: VoterList(voters, at: LSN(5)), mayChange: Int.random(in: 0..<4, using: &rng) > 0,
        nodes: nodes, now: at(now))
      let before = row
      if Int.random(in: 0..<12, using: &rng) == 0,
        let id = (voters.filter { $0 != node(1) } + [node(nextID)]).randomElement(using: &rng)
      {
        if case .change(let list, false)? = try? policy.remove([id], isForced: false, row) {
          #expect(row.hasMajority(of: voters) && Set(list).symmetricDifference(voters) == [id])
          voters = list
        }
        ordered.insert(id)
        row.voters = VoterList(voters, at: LSN(6))
        continue
      }
      guard case .change(let list, _) = policy.next(row) else { continue }
      #expect(row.mayChange && list.contains(node(1)) && list == list.sorted())
      let difference = Set(list).symmetricDifference(voters)
      #expect(difference.count == 1)
      #expect(voters.isEmpty || before.hasMajority(of: voters))
      for id in difference where list.contains(id) && id != node(1) {
        let facts = before.node(id)
        #expect(facts?.isCounting == true && facts?.hasShownData == true && facts?.wantsToVote == true)
        #expect(before.silentVoters.isEmpty && voters.count < policy.votersMax)
      }
      for id in difference where !list.contains(id) {
        let facts = before.node(id)
        let isTaken = nodes.contains { $0.id != id && $0.address == facts?.address && $0.hasShownData }
        let silence = at(now).since(facts?.heardAt ?? at(0))
        #expect(
          facts?.wantsToVote == false || ordered.contains(id) || isTaken && silence >= VoterPolicy.silentMilliseconds)
      }
      voters = list
    }
  }
}
