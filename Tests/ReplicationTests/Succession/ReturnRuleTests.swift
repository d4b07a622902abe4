import Core
import Testing

@testable import Replication

/// A former master that is started again, by what the others answer.
@Suite struct ReturnRuleTests {
  private func rule(_ last: Position, voters: [NodeID]? = nil) -> ReturnRule {
    ReturnRule(id: node(1), address: place(7401), last: last, knownReign: last.reign, voters: voters)
  }
  private func state(_ n: UInt8, _ last: Position, _ change: (inout NodeState) -> Void = { _ in }) -> NodeState {
    var state = NodeState(
      id: node(n), address: place(7400 + Int(n)), role: .slave, lineage: node(9), reign: last.reign, last: last)
    change(&state)
    return state
  }

  @Test func theOneThatHoldsMostIsToReign() {
    let states = [state(2, position(1, 801)), state(3, position(1, 805)), state(4, position(1, 299))]
    #expect(rule(position(1, 300)).decide(states) == .yield(to: states[1]))
    #expect(rule(position(1, 805)).decide(states) == .goOn)
    // A newer reign counts more than a longer log.
    #expect(rule(position(2, 10)).decide(states) == .goOn)
    let newer = state(4, position(3, 5))
    #expect(rule(position(1, 300)).decide(states + [newer]) == .yield(to: newer))
    #expect(rule(position(1, 300)).decide([]) == .goOn)
  }

  @Test func whoLostRecordsByDamageIsNotToReign() {
    let lost = state(3, position(1, 805)) { $0.refetchTo = position(1, 805) }
    #expect(rule(position(1, 300)).decide([lost]) == .goOn)
    #expect(
      rule(position(1, 300)).decide([lost, state(2, position(1, 801))]) == .yield(to: state(2, position(1, 801))))
  }

  @Test func whereVotesDecideItIsAVoter() {
    let states = [state(2, position(1, 801)), state(3, position(1, 805))]
    #expect(rule(position(1, 300), voters: [node(1), node(2)]).decide(states) == .yield(to: states[0]))
    #expect(rule(position(1, 300), voters: [node(1), node(4)]).decide(states) == .goOn)
  }

  /// Node 1's log names no voters; that of nodes 3 and 4 names node 3.
  @Test func whoMayReignGoesBeforeWhoHoldsMoreAndGetsNoVotes() {
    let lacking = state(4, position(1, 805)) { $0.mayReign = false }
    let voter = state(3, position(1, 803))
    #expect(rule(position(1, 300)).decide([lacking, voter]) == .yield(to: voter))
    #expect(rule(position(1, 803)).decide([lacking, voter]) == .yield(to: lacking))
    #expect(rule(position(1, 300)).decide([lacking]) == .yield(to: lacking))
  }

  /// It voted in term 5, in which nobody reigned. The master of term 4 hears of that term when this node registers there.
  @Test func whereVotesDecideAMasterOfAnOlderReignIsFollowedIfItHoldsMore() {
    var rule = rule(position(1, 300), voters: [node(1), node(2), node(3)])
    rule.knownReign = unowned(5)
    let master = state(3, position(4, 310)) { $0.role = .master }
    let longer = state(2, position(4, 309))
    let follow = ReturnRule.Decision.follow(.init(address: place(7403), term: Term(4), id: node(3)))
    #expect(rule.decide([longer, master]) == follow)
    #expect(rule.decide([longer]) == .yield(to: longer))
    rule.last = position(4, 310)
    #expect(rule.decide([longer, master]) == .goOn)
    rule.voters = nil
    rule.last = position(1, 300)
    #expect(rule.decide([longer, master]) == .yield(to: master))
  }

  @Test func aMasterIsFollowed() {
    let master = state(3, position(4, 10)) { $0.role = .master }
    let longer = state(2, position(1, 900))
    #expect(
      rule(position(1, 300)).decide([longer, master])
        == .follow(.init(address: place(7403), term: Term(4), id: node(3))))
    // One of an older reign is none any more.
    #expect(rule(position(5, 300)).decide([master]) == .goOn)
    // Who streams from a master of a newer reign names it; not if that is this node, or no master any more.
    let led = state(2, position(4, 9)) {
      $0.isStreaming = true
      ($0.masterID, $0.master) = (node(3), place(7403))
    }
    #expect(
      rule(position(1, 300)).decide([led]) == .follow(.init(address: place(7403), term: Term(4), id: node(3))))
    let detached = state(3, position(4, 10)) { $0.role = .detached }
    #expect(rule(position(1, 300)).decide([led, detached]) == .yield(to: detached))
  }
}

/// Two logs that went apart at a mere start.
@Suite struct StartDivergenceTests {
  private func history(_ entries: [(UInt32, UInt64, UInt8)]) -> TermHistory {
    TermHistory(entries.map { .init(reign($0.0, of: $0.2), firstLSN: LSN($0.1)) })!
  }
  /// The slave holds 1 to 801 of term 1; the master was started with 1 to 300 of it.
  private func input(_ change: (inout PlannerInput) -> Void = { _ in }) -> PlannerInput {
    var input = PlannerInput(masterLineage: node(9))
    input.slavePosition = position(1, 801)
    input.slaveHistory = history([(1, 1, 1)])
    input.slaveLineage = node(9)
    input.slaveID = node(2)
    input.slaveCommitted = LSN(801)
    input.isRewindNegotiated = true
    input.slaveRewindFloor = LSN(0)
    input.masterTerm = Term(2)
    input.masterLast = LSN(310)
    input.masterHistory = history([(1, 1, 1), (2, 301, 1)])
    input.startReigns = [StartMark(reign(1), mark: 1), StartMark(reign(2), mark: 2)]
    change(&input)
    return input
  }

  @Test func nothingCommittedIsCutForAReignThatBeganByAMereStart() {
    for mode in RequestedSyncMode.allCases {
      let refusal = SyncPlanner.plan(input { $0.mode = mode }).refusal
      #expect(refusal?.code == .diverged, "\(mode)")
      #expect(refusal?.message.contains("PROMOTE") == true && refusal?.message.contains("REPLICAOF") == true)
    }
    // Later reigns, by whatever, do not change how the logs went apart.
    let later = input {
      $0.masterHistory = history([(1, 1, 1), (2, 301, 1), (9, 305, 3)])
      $0.startReigns = [StartMark(reign(2), mark: 2)]
    }
    #expect(SyncPlanner.plan(later).refusal?.code == .diverged)
  }

  @Test func itIsCutWhereAVoteOrAnOrderMadeTheMasterOrAnOperatorSaysSo() {
    #expect(SyncPlanner.plan(input { $0.startReigns = [StartMark(reign(1), mark: 1)] }).rewindTo == LSN(300))
    #expect(SyncPlanner.plan(input { $0.startReigns = [] }).rewindTo == LSN(300), "an older master does not say")
    #expect(SyncPlanner.plan(input { $0.slaveAcceptsCut = true }).rewindTo == LSN(300))
    #expect(SyncPlanner.plan(input { $0.slaveCommitted = LSN(300) }).rewindTo == LSN(300), "none of it was committed")
    #expect(SyncPlanner.plan(input { $0.slaveCommitted = .none }).rewindTo == LSN(300), "an older slave does not say")
  }

  /// The node that starts with an older directory begins the same term again: the logs only look the same.
  @Test func aTermThatIsBegunTwiceIsToldApart() {
    func plan(_ change: (inout PlannerInput) -> Void = { _ in }) -> PlanReport {
      var facts = input {
        $0.slaveStarts = [StartMark(reign(2), mark: 1)]
        $0.slavePosition = position(2, 801)
        $0.slaveHistory = StartDivergence.history(
          history([(1, 1, 1), (2, 301, 1)]), of: $0.slaveStarts, without: $0.startReigns)
      }
      change(&facts)
      return SyncPlanner.plan(facts)
    }
    #expect(plan().refusal?.code == .diverged && plan().commonLSN == LSN(300))
    #expect(plan { $0.slaveAcceptsCut = true }.rewindTo == LSN(300))
    // Its own second beginning gives way to a master that was made since.
    func after(_ term: UInt32, _ starts: [StartMark]) -> PlanReport {
      plan {
        $0.slaveID = node(1)
        $0.masterHistory = history([(1, 1, 1), (2, 301, 1), (term, 305, 2)])
        $0.startReigns += starts
      }
    }
    #expect(after(9, []).rewindTo == LSN(300))
    #expect(after(9, [StartMark(reign(9, of: 2), mark: 9)]).refusal?.code == .diverged)
  }

  /// A slave in the middle of a chain, started with an older directory, is no reason to cut those below it.
  @Test func whoIsOnlyBehindCutsNobody() {
    let behind = input {
      $0.masterLast = LSN(300)
      $0.masterHistory = history([(1, 1, 1)])
      $0.startReigns = []
    }
    #expect(SyncPlanner.plan(behind).refusal?.code == .syncImpossible)
    #expect(SyncPlanner.plan(behind).refusal?.message.contains("must get them first") == true)
  }

  @Test func messagesComeBackAsTheyWereWritten() throws {
    var request = SyncRequest(
      id: node(2), position: position(1, 801), history: history([(1, 1, 1)]), lineage: node(9))
    (request.committedLSN, request.acceptsCut) = (LSN(800), true)
    request.starts = [StartMark(reign(1), mark: 7)]
    #expect(try SyncRequest(parsing: request.arguments) == request)
    var reply = RegisterReply(
      id: node(1), address: place(7401), reign: reign(2), last: position(2, 310),
      history: history([(1, 1, 1), (2, 301, 1)]), lineage: node(9), hasData: true, capabilities: .all)
    reply.starts = [StartMark(reign(1), mark: 7), StartMark(reign(2, of: 4), mark: 8)]
    #expect(try RegisterReply(parsing: reply.elements) == reply)
    #expect(try RegisterReply(parsing: Array(reply.elements.dropLast(2))).starts == [])
  }

  /// The slave looks itself: the master may be of a version that plans without asking.
  @Test func theSlaveDoesNotCutEither() {
    func dissent(
      _ reply: SyncReply, starts: [StartMark] = [StartMark(reign(2), mark: 2)],
      _ change: (inout LocalFacts) -> Void = { _ in }
    )
      -> (NodeID?, [ApplierAction])
    {
      var facts = LocalFacts(id: node(2), address: place(7402))
      facts.lineage = node(9)
      facts.history = history([(1, 1, 1)])
      (facts.durableLSN, facts.appliedLSN, facts.committedLSN) = (LSN(801), LSN(801), LSN(801))
      (facts.rewindFloor, facts.knownReign) = (LSN(0), reign(1))
      change(&facts)
      var applier = Applier()
      _ = applier.step(.attach(place(7401)), now: at(0))
      _ = applier.step(.connected(facts), now: at(1))
      var registered = RegisterReply(
        id: node(1), address: place(7401), reign: reign(2), last: position(2, 310),
        history: history([(1, 1, 1), (2, 301, 1)]), lineage: node(9), hasData: true, capabilities: .all)
      registered.starts = starts
      _ = applier.step(.registerReply(registered), now: at(2))
      let actions = applier.step(.syncReply(reply), now: at(3))
      return (applier.dissentsFrom, actions)
    }
    let cut = SyncReply(
      mode: .partial, startLSN: LSN(301), barrierLSN: LSN(310), rewindTo: LSN(300), reason: "a cut")
    let full = SyncReply(
      mode: .full, snapshot: SnapshotID(5), startLSN: LSN(301), barrierLSN: LSN(310), reason: "anew")
    for reply in [cut, full] {
      let (dissents, actions) = dissent(reply)
      #expect(dissents == node(1) && !actions.contains(.rewind(to: LSN(300))))
      #expect(dissent(reply, starts: []).0 == nil)
      #expect(dissent(reply) { $0.isOrdered = true }.0 == nil)
      #expect(dissent(reply) { $0.acceptDataLoss = true }.0 == nil)
    }
    #expect(dissent(cut, starts: []).1.contains(.rewind(to: LSN(300))))
  }
}
