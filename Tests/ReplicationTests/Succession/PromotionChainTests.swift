import Core
import Testing

@testable import Replication

extension PromotionTests {
  // MARK: Deep in a chain: 1 <- 3 <- 2 <- 4. Node 2 knows of node 3, which it follows, and of its own slave 4.

  static let parent = KnownNode(id: node(3), address: place(7403), isVoter: true, isMaster: true)
  static let top = KnownNode(id: node(1), address: place(7401), isVoter: true)
  static let sibling = KnownNode(id: node(5), address: place(7405), isVoter: true)
  static func deep(_ level: CommitLevel, _ change: (inout PromotionFacts) -> Void = { _ in }) -> PromotionFacts {
    facts(level) {
      $0.nodes = [parent, third]
      $0.upstream = [node(3), node(1)]
      change(&$0)
    }
  }
  /// Node 3 follows node 1, and knows its row.
  static let parentAnswers = state(parent) {
    $0.masterID = node(1)
    $0.master = place(7401)
    $0.row = [top, sibling, KnownNode(id: node(2), address: place(7402))]
  }

  @Test func deepInAChainTheOldMasterIsTheOwnerOfTheReign() {
    let level = CommitLevel.quorum(voters: [node(1)])
    let facts = Self.deep(level) { $0.areVotersNamed = false }
    // It follows node 3, whose answer is not the old master's.
    let text = Self.refusal(facts, [Self.parentAnswers, Self.dead, Self.state(Self.sibling), Self.state(Self.third)])
    #expect(
      text?.contains("the old master, which may hold acknowledged writes alone, does not answer") == true,
      "\(text ?? "none")")
    #expect(text?.contains("10.0.0.1:7401 (connection refused)") == true)
    // Node 3 is of an older version, or gone: where the old master is, is not known.
    for answer in [Self.state(Self.parent), .failed(from: node(3), "gone")] {
      let text = Self.refusal(facts, [answer, Self.state(Self.third), .tick], at: 2000)
      #expect(text?.contains("\(node(1)) (its address is not known here)") == true, "\(text ?? "none")")
    }
    // The voters are named, but not those that came later: the list of this log decides (Raft's thesis, 4.1).
    let older = Self.deep(.quorum(voters: [node(1), node(3)]))
    #expect(
      Self.refusal(older, [Self.parentAnswers, Self.dead, Self.state(Self.sibling), Self.state(Self.third)])?
        .contains("1 of 2 voters answered, 2 are needed") == true)
  }

  @Test func deepInAChainTheMasterAndItsRowAreAskedToo() {
    var promotion = Promotion()
    _ = promotion.step(.start(Self.deep(.async)), now: at(0))
    #expect(promotion.step(Self.parentAnswers, now: at(1)) == [.ask(Self.top), .ask(Self.sibling)])
    #expect(promotion.step(Self.parentAnswers, now: at(2)) == [])
    _ = promotion.step(Self.state(Self.third), now: at(3))
    var other = promotion
    let alive = Self.state(Self.top) { $0.role = .master }
    guard case .refuse(let text)? = promotion.step(alive, now: at(4)).first else {
      Issue.record("a master that answers was passed over")
      return
    }
    #expect(text.contains("the master 10.0.0.1:7401 answers"))
    _ = other.step(Self.dead, now: at(4))
    _ = other.step(Self.state(Self.sibling), now: at(5))
    for known in [Self.parent, Self.third] { _ = other.step(Self.vote(known), now: at(6)) }
    // Who follows the old master is told, and who follows another slave is not.
    let news = NewMaster(term: Term(3), id: node(2), address: place(7402), lineage: node(9), firstLSN: LSN(101))
    #expect(
      other.step(.begun(firstLSN: LSN(101)), now: at(7)) == [.announce([Self.parent, Self.third, Self.top], news)])
  }

  /// The slaves that the master counted are those of the master, not those of whom this node follows.
  @Test func deepInAChainFullsyncCountsTheMastersSlaves() {
    let facts = Self.deep(.fullsync(slaves: 1))
    #expect(
      Self.refusal(facts, [.failed(from: node(3), "gone"), Self.state(Self.third)])?
        .contains("which slaves the master of") == true)
    let silent = PromotionEvent.failed(from: node(5), "gone")
    #expect(
      Self.refusal(facts, [Self.parentAnswers, Self.state(Self.third), Self.dead, silent])?
        .contains("3 of 4 slaves answered, 4 must be asked") == true)
    #expect(
      Self.refusal(facts, [Self.parentAnswers, Self.state(Self.third), Self.dead, Self.state(Self.sibling)]) == nil)
  }

  @Test func forcePassesOverEveryRefusalButKeepsItsTermItsOwn() {
    let facts = Self.facts(Self.quorum) { $0.isForced = true }
    let alive = Self.state(Self.master) {
      $0.role = .master
      $0.last = position(2, 200)
    }
    var promotion = Promotion()
    _ = promotion.step(.start(facts), now: at(0))
    #expect(promotion.step(alive, now: at(1)) == [])
    let actions = promotion.step(.tick, now: at(2000))
    guard case .requestVote(_, let request)? = actions.last else {
      Issue.record("\(actions)")
      return
    }
    #expect(request.isForced && request.term == Term(3))
    // Its term is taken: a newer one. A denial for another reason does not stop it.
    _ = promotion.step(Self.vote(Self.master, granted: false, term: 2, "holds more"), now: at(2001))
    _ = promotion.step(Self.vote(Self.second, granted: false, term: 6, "voted for another"), now: at(2002))
    let again = promotion.step(.failed(from: node(4), "gone"), now: at(2003))
    #expect(again.first == .persistVote(Vote(term: Term(7), candidate: node(2))) && again.count == 4)
    let end = promotion.step(.tick, now: at(4003))
    #expect(end.count == 2 && end.last == .becomeMaster(Term(7)))
    guard case .tellLoss(let what)? = end.first else { return #expect(Bool(false), "\(end)") }
    #expect(what.contains("after 2:100") && what.contains("\(node(4))"))
  }

  @Test func forceIsForTheSurvivorOfVotersThatAreLost() {
    for isMaster in [false, true] {
      let facts = Self.facts(Self.quorum) { ($0.isForced, $0.isMaster) = (true, isMaster) }
      #expect(facts.makesOnlyVoter)
      let text = Self.refusal(facts, [Self.dead, Self.state(Self.second), Self.state(Self.third)])
      #expect(text?.contains("3 of 4 voters answer") == true && text?.contains("already") == isMaster)
      // It waits for the answers: one that is slow is not lost.
      #expect(Self.run(facts, [Self.dead]).0.state == .asking(until: at(2000)))
      let (_, actions) = Self.run(facts, [Self.dead, .failed(from: node(3), "gone"), .tick], at: 2000)
      #expect(actions.first == .persistVote(Vote(term: Term(3), candidate: node(2))))
    }
    // Where nobody votes, a master has nothing to ask for; and alone on the list it is the only voter already.
    let levels: [CommitLevel] = [.async, .fullsync(slaves: 1), .quorum(voters: [node(2)])]
    for level in levels {
      let facts = Self.facts(level) { ($0.isForced, $0.isMaster) = (true, true) }
      #expect(Self.refusal(facts, [])?.contains("already") == true)
    }
  }

  /// A slave that came back empty has the address of its old id, and so has this node.
  @Test func ghostsAreNotWaitedFor() {
    let ghosts = [7, 8].map { KnownNode(id: node(UInt8($0)), address: place($0 == 7 ? 7403 : 7402), isVoter: true) }
    let facts = Self.facts(.fullsync(slaves: 1)) { $0.nodes = [Self.master, Self.second] + ghosts }
    func answers(_ id: UInt8, by other: UInt8) -> PromotionEvent {
      .stateAnswered(
        from: node(id),
        NodeState(
          id: node(other), address: place(7400 + Int(other)), role: .slave, lineage: node(9), reign: reign(2),
          last: position(2, 100)))
    }
    #expect(Self.refusal(facts, [Self.dead, Self.state(Self.second), answers(7, by: 3), answers(8, by: 2)]) == nil)
    // A stranger there is no proof that it is gone.
    #expect(Self.refusal(facts, [Self.dead, Self.state(Self.second), answers(7, by: 3), answers(8, by: 11)]) != nil)
  }

  @Test func forceDoesNotTakeTermsForEver() {
    var promotion = Promotion()
    _ = promotion.step(.start(Self.facts(.async) { $0.isForced = true }), now: at(0))
    var actions = promotion.step(.tick, now: at(2000))
    var term: UInt32 = 3
    for _ in 0..<20 {
      guard case .voting = promotion.state else { break }
      for known in Self.all {
        actions = promotion.step(Self.vote(known, granted: false, term: term, "no"), now: at(2001))
      }
      term += 1
    }
    guard case .refuse? = actions.last else {
      Issue.record("\(actions)")
      return
    }
  }

  /// A master that made way for one that never came.
  @Test func withoutAQuorumOneThatGoesOnNeedsEveryVote() {
    let facts = Self.facts(.async) { $0.isReturn = true }
    let states = Self.all.map { Self.state($0) }
    #expect(Self.refusal(facts, [Self.dead] + states.dropFirst())?.contains("no answer of") == true)
    // One whose place another node of the row has taken does not come back.
    guard case .stateAnswered(_, let second) = states[1] else { return }
    #expect(Self.refusal(facts, [.stateAnswered(from: Self.master.id, second)] + states.dropFirst()) == nil)
    var (promotion, actions) = Self.run(facts, states)
    var request = Self.request
    request.isReturn = true
    #expect(actions.contains(.requestVote(Self.third, request)))
    // Who holds more is asked, too: it may stand itself.
    let more = Self.state(Self.third) { $0.last = position(2, 101) }
    #expect(
      Self.run(facts, [Self.state(Self.master), Self.state(Self.second), more]).1.contains(
        .requestVote(Self.third, request)))
    #expect(promotion.step(Self.vote(Self.master), now: at(20)) == [])
    #expect(promotion.step(Self.vote(Self.second), now: at(20)) == [])
    var silent = promotion
    guard case .refuse(let text)? = silent.step(.tick, now: at(5000)).first else {
      Issue.record("a node that may be master was passed over")
      return
    }
    #expect(text.contains("no vote of"))
    #expect(promotion.step(Self.vote(Self.third), now: at(21)) == [.becomeMaster(Term(3))])
  }

  @Test func aHandoverAsksNobodyForHisState() {
    let facts = Self.facts(Self.quorum) { $0.handoverTerm = Term(3) }
    var promotion = Promotion()
    let actions = promotion.step(.start(facts), now: at(0))
    var request = Self.request
    request.isForced = true
    #expect(
      actions == [.persistVote(Vote(term: Term(3), candidate: node(2)))] + Self.all.map { .requestVote($0, request) })
    _ = promotion.step(Self.vote(Self.master), now: at(1))
    #expect(promotion.step(Self.vote(Self.third), now: at(1)) == [.becomeMaster(Term(3))])
    #expect(
      Self.refusal(Self.facts(.async) { $0.handoverTerm = Term(2) }, [])
        == "term 2 was handed over, this node knows of term 2")
  }

  /// Two votes in one term would make two masters.
  @Test func aVoteGivenMeanwhileRaisesTheTermOrEndsIt() {
    let (_, actions) = Self.run(
      Self.facts(.async), [Self.dead, .termSeen(Term(5)), Self.state(Self.second), Self.state(Self.third)])
    #expect(actions.first == .persistVote(Vote(term: Term(6), candidate: node(2))))
    let asked = [Self.dead, Self.state(Self.second), Self.state(Self.third)]
    #expect(Self.refusal(Self.facts(.async), asked + [.termSeen(Term(3))])?.contains("voted in term 3") == true)
    #expect(Self.refusal(Self.facts(.async), asked + [.termSeen(Term(2))]) == nil)
  }

  @Test func whoIsNotSureHowItVotedStandsInLaterTermsOnly() {
    let (_, actions) = Self.run(
      Self.facts(.async) { $0.unsureUpTo = Term(20) }, [Self.dead, Self.state(Self.second), Self.state(Self.third)])
    #expect(actions.first == .persistVote(Vote(term: Term(21), candidate: node(2))))
    func ordered(_ unsure: UInt32) -> String? {
      Self.refusal(
        Self.facts(Self.quorum) {
          $0.handoverTerm = Term(3)
          $0.unsureUpTo = Term(unsure)
        }, [])
    }
    #expect(ordered(3)?.contains("cannot be sure how it voted in terms up to 3") == true)
    #expect(ordered(2) == nil)
    #expect(Self.refusal(Self.facts(.async) { $0.unsureUpTo = Term(.max) }, [])?.contains("cannot be sure") == true)
  }

  /// Its master was started with less, and no slave cuts its log for that: the operator promotes the one that counts.
  @Test func whoDissentsFromItsMasterIsPromoted() {
    let restarted = Self.state(Self.master) {
      $0.role = .master
      ($0.reign, $0.last) = (reign(3), position(3, 60))
    }
    let follows = Self.state(Self.third) {
      $0.isStreaming = true
      $0.heardMilliseconds = 10
      ($0.masterID, $0.last) = (node(1), position(3, 60))
    }
    let facts = Self.facts(.async) { $0.dissentsFrom = node(1) }
    let (promotion, actions) = Self.run(facts, [restarted, follows, Self.state(Self.second)])
    #expect(promotion.state == .voting(Term(4), until: at(2010)))
    #expect(actions.filter { if case .requestVote = $0 { true } else { false } }.count == 1)
    #expect(Self.refusal(Self.facts(.async), [restarted])?.contains("use FAILOVER there") == true)
  }

  @Test func aFailingStoreEndsIt() {
    let asked = [Self.dead, Self.state(Self.second), Self.state(Self.third)]
    #expect(Self.refusal(Self.facts(.async), asked + [.storeFailed("disk full")])?.contains("disk full") == true)
    let voted = asked + [Self.dead, Self.vote(Self.second), Self.vote(Self.third)]
    #expect(Self.refusal(Self.facts(.async), voted + [.storeFailed("disk full")])?.contains("disk full") == true)
  }

  @Test func aNodeWithoutOthersIsPromotedAtOnceAndTheLastTermIsTheLast() {
    let alone = Self.facts(.async) { $0.nodes = [] }
    var promotion = Promotion()
    #expect(
      promotion.step(.start(alone), now: at(0)) == [
        .persistVote(Vote(term: Term(3), candidate: node(2))), .becomeMaster(Term(3)),
      ])
    #expect(
      Self.refusal(
        Self.facts(.async) {
          $0.nodes = []
          $0.knownTerm = Term(.max)
        }, [])?.contains("no term is left") == true)
  }

  @Test func anAnswerOfAnotherNodeAtThatAddressIsAFailure() {
    let (promotion, _) = Self.run(
      Self.facts(.fullsync(slaves: 1)),
      [
        Self.dead, Self.state(Self.second),
        .stateAnswered(
          from: node(4),
          NodeState(id: node(8), address: place(7404), role: .slave, lineage: node(9), reign: reign(2), last: .none)),
      ])
    guard case .refused(let text) = promotion.state else {
      Issue.record("\(promotion.state)")
      return
    }
    #expect(text.contains("another node, \(node(8)), answers there"))
  }

  @Test func theLastSlaveListSaysWhomToAsk() {
    let list = SlaveList(
      revision: 1, master: .init(id: node(1), address: place(7401), isVoter: true),
      slaves: [2, 3].map {
        .init(
          id: node($0), address: place(7400 + Int($0)), state: .streaming, isVoter: true, durableLSN: .none,
          appliedLSN: .none)
      })
    #expect(list.known(without: node(2)) == [Self.master, Self.second])
  }
}
