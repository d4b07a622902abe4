import Core
import Testing

@testable import Replication

@Suite struct PromotionTests {
  static let master = KnownNode(id: node(1), address: place(7401), isVoter: true, isMaster: true)
  static let second = KnownNode(id: node(3), address: place(7403), isVoter: true)
  static let third = KnownNode(id: node(4), address: place(7404), isVoter: true)
  static let all = [master, second, third]

  /// Node 2, at 2:100, of a master and three slaves.
  static func facts(_ level: CommitLevel, _ change: (inout PromotionFacts) -> Void = { _ in }) -> PromotionFacts {
    var facts = PromotionFacts(
      id: node(2), address: place(7402), lineage: node(9), last: position(2, 100), knownTerm: Term(2), nodes: all,
      level: level)
    change(&facts)
    return facts
  }
  static func state(_ known: KnownNode, _ change: (inout NodeState) -> Void = { _ in }) -> PromotionEvent {
    var state = NodeState(
      id: known.id, address: known.address, role: .slave, lineage: node(9), reign: reign(2), last: position(2, 100))
    change(&state)
    return .stateAnswered(from: known.id, state)
  }
  static func vote(_ known: KnownNode, granted: Bool = true, term: UInt32 = 3, _ reason: String = "") -> PromotionEvent
  {
    .voteAnswered(
      from: known.id,
      VoteReply(
        id: known.id, isGranted: granted, term: Term(term), last: position(2, 100), committedLSN: .none, reason: reason)
    )
  }
  static let quorum = CommitLevel.quorum(voters: [node(1), node(2), node(3), node(4)])
  static let request = VoteRequest(
    term: Term(3), candidate: node(2), address: place(7402), last: position(2, 100), lineage: node(9))

  /// Runs these events, the last one at `end`; the last step's actions.
  static func run(_ facts: PromotionFacts, _ events: [PromotionEvent], at end: UInt64 = 10) -> (
    Promotion, [PromotionAction]
  ) {
    var promotion = Promotion()
    var actions = promotion.step(.start(facts), now: at(0))
    for (index, event) in events.enumerated() {
      actions = promotion.step(event, now: at(index == events.count - 1 ? end : 5))
    }
    return (promotion, actions)
  }
  static func refusal(_ facts: PromotionFacts, _ events: [PromotionEvent], at end: UInt64 = 10) -> String? {
    if case .refused(let text) = run(facts, events, at: end).0.state { text } else { nil }
  }
  static let dead = PromotionEvent.failed(from: node(1), "connection refused")

  @Test func aMajorityMakesAMasterAndEveryoneIsTold() {
    var promotion = Promotion()
    #expect(promotion.step(.start(Self.facts(Self.quorum)), now: at(0)) == Self.all.map { .ask($0) })
    #expect(promotion.step(Self.dead, now: at(1)) == [])
    #expect(promotion.step(Self.state(Self.second), now: at(2)) == [])
    #expect(
      promotion.step(Self.state(Self.third), now: at(3)) == [
        .persistVote(Vote(term: Term(3), candidate: node(2))), .requestVote(Self.master, Self.request),
        .requestVote(Self.second, Self.request), .requestVote(Self.third, Self.request),
      ])
    #expect(promotion.step(Self.dead, now: at(4)) == [])
    #expect(promotion.step(Self.vote(Self.second), now: at(5)) == [])
    #expect(promotion.step(Self.vote(Self.third), now: at(6)) == [.becomeMaster(Term(3))])
    let news = NewMaster(term: Term(3), id: node(2), address: place(7402), lineage: node(9), firstLSN: LSN(101))
    #expect(promotion.step(.begun(firstLSN: LSN(101)), now: at(7)) == [.announce(Self.all, news)])
    #expect(promotion.state == .promoted(Term(3)))
    #expect(promotion.step(Self.vote(Self.third), now: at(8)) == [])
  }

  @Test func aNodeThatLostRecordsByDamageIsPromotedByForceOnly() {
    let lost = Self.facts(.async) { $0.refetchTo = position(2, 120) }
    let text = Self.refusal(lost, [])
    #expect(text?.contains("lost records up to 2:120 by damage") == true, "\(text ?? "none")")
    let handedOver = Self.facts(.async) {
      $0.refetchTo = position(2, 120)
      $0.handoverTerm = Term(3)
    }
    #expect(Self.refusal(handedOver, []) == text)
    var promotion = Promotion()
    let forced = Self.facts(.async) {
      $0.refetchTo = position(2, 120)
      $0.isForced = true
    }
    #expect(promotion.step(.start(forced), now: at(0)) == Self.all.map { .ask($0) })
  }

  /// What the other one acknowledged counts, not what it still has.
  @Test func anotherNodesLostRecordsAreInTheWay() {
    let lost = Self.state(Self.second) {
      $0.last = position(2, 120)
      $0.refetchTo = position(2, 120)
    }
    let text = Self.refusal(Self.facts(.async), [Self.dead, lost, Self.state(Self.third)])
    #expect(text?.contains("held the log up to 2:120") == true, "\(text ?? "none")")
    let less = Self.state(Self.second) {
      $0.last = position(2, 100)
      $0.refetchTo = position(2, 100)
    }
    #expect(Self.refusal(Self.facts(.async), [Self.dead, less, Self.state(Self.third)]) == nil)
  }

  @Test func theTermIsAboveEveryOneThatWasSeen() {
    let (promotion, actions) = Self.run(
      Self.facts(.async),
      [Self.dead, Self.state(Self.second) { $0.votedTerm = Term(7) }, Self.state(Self.third) { $0.reign = reign(5) }])
    #expect(actions.first == .persistVote(Vote(term: Term(8), candidate: node(2))))
    #expect(promotion.state == .voting(Term(8), until: at(2010)))
    // But not above those of another data set.
    let (_, other) = Self.run(
      Self.facts(.async),
      [
        Self.dead, Self.state(Self.third),
        Self.state(Self.second) {
          $0.reign = reign(70)
          $0.lineage = node(8)
        },
      ])
    #expect(other.first == .persistVote(Vote(term: Term(3), candidate: node(2))))
  }

  @Test func aMasterThatAnswersIsNotReplaced() {
    let alive = Self.state(Self.master) { $0.role = .master }
    let text = Self.refusal(Self.facts(.async), [alive])
    #expect(text == "the master 10.0.0.1:7401 answers, in term 2: use FAILOVER there, or PROMOTE FORCE here")
    // One of a term before this node's log is none any more.
    let stale = Self.state(Self.master) {
      $0.role = .master
      $0.reign = reign(1)
      $0.last = position(1, 50)
    }
    #expect(Self.refusal(Self.facts(.async), [stale]) == nil)
    #expect(Self.refusal(Self.facts(.async) { $0.isMaster = true }, []) == "this node is the master already")
    #expect(
      Self.refusal(
        Self.facts(.async) {
          $0.isMaster = true
          $0.isForced = true
        }, []) == "this node is the master already")
  }

  @Test func aMasterThatOthersHearIsAlive() {
    func hears(_ milliseconds: UInt64) -> PromotionEvent {
      Self.state(Self.second) {
        $0.isStreaming = true
        $0.heardMilliseconds = milliseconds
        $0.masterID = node(1)
        $0.master = place(7401)
      }
    }
    #expect(
      Self.refusal(Self.facts(.async), [hears(3000)])?.contains("10.0.0.1:7403 still hears 10.0.0.1:7401") == true)
    #expect(Self.refusal(Self.facts(.async), [hears(3001)]) == nil)
    // A master that made way serves on until there is a new one.
    let detached = Self.state(Self.master) { $0.role = .detached }
    #expect(Self.refusal(Self.facts(.async), [detached, hears(10)]) == nil)
  }

  @Test func inAChainItIsTheFirstThatHearsTheMaster() {
    func hears(_ known: KnownNode, _ master: NodeID) -> PromotionEvent {
      Self.state(known) {
        $0.isStreaming = true
        $0.heardMilliseconds = 10
        $0.masterID = master
      }
    }
    let last = hears(Self.third, node(3))
    #expect(Self.refusal(Self.facts(.async), [last]) == nil)
    #expect(Self.refusal(Self.facts(.async), [last, Self.dead, Self.state(Self.second)]) == nil)
    #expect(
      Self.refusal(Self.facts(.async), [last, hears(Self.second, node(1))])?.contains("7403 still hears") == true)
    // Who does not answer may hear it.
    #expect(Self.refusal(Self.facts(.async), [last, Self.dead, .tick], at: 5000)?.contains("7404 still hears") == true)
  }

  @Test func aNodeThatHoldsMoreIsNamed() {
    let more = Self.state(Self.third) { $0.last = position(2, 101) }
    let text = Self.refusal(Self.facts(.async), [Self.state(Self.second), more])
    #expect(text == "10.0.0.1:7404 holds more of the log, up to 2:101, this node up to 2:100: PROMOTE that one")
    let newer = Self.state(Self.third) { $0.last = position(3, 1) }
    #expect(Self.refusal(Self.facts(.async), [newer])?.contains("up to 3:1") == true)
    #expect(Self.refusal(Self.facts(.async), [Self.state(Self.third) { $0.last = position(1, 900) }]) == nil)
  }

  @Test func tooFewAnswersAreNamed() {
    let late: UInt64 = 2000
    // quorum: 4 voters, 3 are needed.
    #expect(
      Self.refusal(Self.facts(Self.quorum), [Self.dead, Self.state(Self.second), .tick], at: late)
        == "2 of 4 voters answered, 3 are needed: 10.0.0.1:7401 (connection refused), 10.0.0.1:7404 (silent); bring them up, "
        + "or PROMOTE FORCE: then this node is the only voter, and records after 2:100 can be lost although they were "
        + "acknowledged, if they are on voters only that do not answer: \(node(1)), \(node(4))")
    #expect(Self.refusal(Self.facts(Self.quorum), [Self.dead, Self.state(Self.second), .tick], at: late - 1) == nil)
    // fullsync:N of 3 slaves: 4 - N must answer, this node among them.
    for (slaves, answers, enough) in [
      (1, 2, true), (1, 1, false), (2, 1, true), (2, 0, false), (3, 0, true), (9, 0, true),
    ] {
      let events = [Self.state(Self.second), Self.state(Self.third)].prefix(answers) + [Self.dead, .tick]
      let text = Self.refusal(Self.facts(.fullsync(slaves: slaves)), Array(events), at: late)
      #expect((text == nil) == enough, "fullsync:\(slaves) with \(answers): \(text ?? "")")
      if !enough { #expect(text?.contains("slaves answered") == true) }
    }
    // Another data set's answer is none.
    let stranger = Self.state(Self.third) { $0.lineage = node(8) }
    #expect(
      Self.refusal(Self.facts(.fullsync(slaves: 1)), [Self.dead, Self.state(Self.second), stranger])?
        .contains("another data set") == true)
    // async: whoever answers.
    #expect(Self.refusal(Self.facts(.async), [Self.dead, .tick], at: late) == nil)
  }

  /// It was just started, and has not heard who is master. The owner of the newest reign in its log is no slave of its own.
  @Test func theOwnerOfTheNewestReignIsNoneOfTheSlaves() {
    let facts = Self.facts(.fullsync(slaves: 1)) {
      $0.last = Position(Reign(term: Term(2), owner: node(1)), lsn: LSN(100))
      $0.nodes[0].isMaster = false
    }
    let asked = [Self.dead, Self.state(Self.second), Self.state(Self.third)]
    #expect(Self.refusal(facts, asked, at: 3000) == nil)
    let silent = Self.refusal(facts, [Self.dead, Self.state(Self.second)], at: 60_000)
    #expect(
      silent?.contains("must be asked to find the one with every fullsync:1 write") == true, "\(silent ?? "none")")
  }

  @Test func aDenialOrTooFewVotesEndIt() {
    let asked = [Self.dead, Self.state(Self.second), Self.state(Self.third)]
    let denied = Self.vote(Self.second, granted: false, "it voted for another")
    #expect(
      Self.refusal(Self.facts(.async), asked + [denied])
        == "10.0.0.1:7403 gives no vote for term 3: it voted for another; try again, or PROMOTE FORCE")
    // quorum: 3 of 4 are needed, so one denial with the master dead is one too many.
    #expect(Self.refusal(Self.facts(Self.quorum), asked + [denied]) == nil)
    #expect(
      Self.refusal(Self.facts(Self.quorum), asked + [denied, Self.dead, Self.vote(Self.third)])?
        .contains("2 of 4 voters voted for this node in term 3, 3 are needed") == true)
    // fullsync: a node that answered and then fell silent is not counted any more.
    #expect(
      Self.refusal(
        Self.facts(.fullsync(slaves: 1)),
        asked + [Self.dead, .failed(from: node(3), "gone"), Self.vote(Self.third)])?.contains("gone") == true)
    let (_, actions) = Self.run(
      Self.facts(.fullsync(slaves: 1)), asked + [Self.dead, Self.vote(Self.second), Self.vote(Self.third)])
    #expect(actions == [.becomeMaster(Term(3))])
  }

  @Test func aListOfVotersCountsAndNotWhoIsThere() {
    let level = CommitLevel.quorum(voters: [node(2), node(3), node(7)])
    let (promotion, actions) = Self.run(
      Self.facts(level), [Self.dead, Self.state(Self.second), Self.state(Self.third)])
    #expect(actions.count == 2 && actions.last == .requestVote(Self.second, Self.request))
    var done = promotion
    #expect(done.step(Self.vote(Self.third), now: at(11)) == [])  // it was not asked
    #expect(done.step(Self.vote(Self.second), now: at(11)) == [.becomeMaster(Term(3))])
    // Its own vote counts only if it is on the list.
    let (_, others) = Self.run(
      Self.facts(.quorum(voters: [node(1), node(3), node(4)])),
      [Self.dead, Self.state(Self.second), Self.state(Self.third), Self.dead, Self.vote(Self.second)])
    #expect(others == [])
  }

  @Test func whereQuorumAndFullsyncAreInUseBothRulesHold() {
    // 4 voters, 3 are there; a fullsync:1 write may be on the old master and on the slave that is silent.
    let asked = [Self.dead, Self.state(Self.second), Self.state(Self.third)]
    let far = KnownNode(id: node(5), address: place(7405), isVoter: false)
    func facts(_ slaves: Int?) -> PromotionFacts {
      Self.facts(Self.quorum) {
        $0.nodes = Self.all + [far]
        $0.fullsyncSlaves = slaves
      }
    }
    let silent = asked + [PromotionEvent.failed(from: far.id, "connection refused")]
    #expect(Self.refusal(facts(1), silent)?.contains("3 of 4 slaves answered, 4 must be asked") == true)
    #expect(Self.refusal(facts(2), silent) == nil && Self.refusal(facts(nil), silent) == nil)
    #expect(Self.refusal(facts(1), asked + [Self.state(far)]) == nil)
  }

  /// Its log names no voters: the one that began the data set is the list.
  static func unnamed(_ change: (inout PromotionFacts) -> Void = { _ in }) -> PromotionFacts {
    facts(.quorum(voters: [node(1)])) {
      $0.areVotersNamed = false
      change(&$0)
    }
  }

  @Test func whoDoesNotKnowTheVotersYetNeedsTheMastersAnswer() {
    let facts = Self.unnamed()
    let others = [Self.state(Self.second), Self.state(Self.third)]
    #expect(
      Self.refusal(facts, [Self.dead] + others)
        == "who votes is not in this node's log yet, and the old master, which may hold acknowledged writes alone, does not "
        + "answer: 10.0.0.1:7401 (connection refused); bring it up, or PROMOTE FORCE")
    #expect(
      Self.refusal(Self.unnamed { $0.nodes = [] }, [.tick])?.contains("\(node(1)) (its address is not known here)")
        == true)
    // It answers, is no master any more, and holds no more than this node: its vote decides.
    let (asking, actions) = Self.run(facts, others + [Self.state(Self.master)])
    #expect(actions.count == 2 && actions.last == .requestVote(Self.master, Self.request))
    var voting = asking
    #expect(voting.step(Self.vote(Self.second), now: at(11)) == [])
    #expect(voting.step(Self.vote(Self.master), now: at(12)) == [.becomeMaster(Term(3))])
    let stillThere = Self.state(Self.master) { $0.last = position(2, 101) }
    #expect(Self.refusal(facts, others + [stillThere])?.contains("holds more of the log") == true)
    // One that goes on was that master itself.
    let former = Self.unnamed {
      $0.id = node(1)
      $0.isReturn = true
      $0.nodes = [Self.second, Self.third]
    }
    #expect(Self.refusal(former, others) == nil)
  }

  /// An empty node of a row where a quorum commits: the master may have acknowledged anything.
  @Test func whoHoldsNothingNeedsTheMastersAnswer() {
    let empty = Self.facts(.quorum(voters: [])) {
      $0.last = .none
      $0.areVotersNamed = false
    }
    #expect(
      Self.refusal(
        empty, [Self.dead, Self.state(Self.second) { $0.last = .none }, Self.state(Self.third) { $0.last = .none }])?
        .contains("the old master") == true)
  }
}
