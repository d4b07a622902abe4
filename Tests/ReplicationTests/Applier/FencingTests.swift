import Core
import Testing

@testable import Replication

/// A slave that knows of a newer term follows no master of an older one, whatever that master sends.
@Suite struct FencingTests {
  static func facts(knownTerm: UInt32, _ change: (inout LocalFacts) -> Void = { _ in }) -> LocalFacts {
    ApplierTests.facts {
      $0.knownReign = reign(knownTerm)
      change(&$0)
    }
  }
  /// Up to the point where the plan is asked for; the master says term 2.
  static func registered(_ facts: LocalFacts, _ reason: FollowReason = .configured) -> (Applier, [ApplierAction]) {
    var applier = Applier()
    _ = applier.step(.attach(place(7400), reason), now: at(0))
    _ = applier.step(.connected(facts), now: at(0))
    let actions = applier.step(.registerReply(ApplierTests.master()), now: at(0))
    return (applier, actions)
  }
  static func refusal(_ actions: [ApplierAction]) -> ReplicationError.Code? {
    for action in actions { if case .closeLink(let error) = action { return error.code } }
    return nil
  }

  @Test func theKnownTermIsToldAtRegistration() {
    var applier = Applier()
    _ = applier.step(.attach(place(7400)), now: at(0))
    let facts = Self.facts(knownTerm: 4) { $0.isVoter = true }
    guard case .sendRegister(let request)? = applier.step(.connected(facts), now: at(0)).first else {
      Issue.record("no registration")
      return
    }
    #expect(request.knownReign == reign(4) && request.isVoter)
  }

  @Test func aMasterOfAnOlderTermIsLeftAtItsFirstWord() {
    #expect(Self.refusal(Self.registered(Self.facts(knownTerm: 3)).1) == .staleTerm)
    #expect(Self.refusal(Self.registered(Self.facts(knownTerm: 2)).1) == nil)
    // Of two masters of one term the one with the larger id counts; the master is of node 1's.
    let (rival, lower) = (reign(2, of: 3), reign(2, of: 0))
    #expect(Self.refusal(Self.registered(Self.facts(knownTerm: 2) { $0.knownReign = rival }).1) == .staleTerm)
    #expect(Self.refusal(Self.registered(Self.facts(knownTerm: 2) { $0.knownReign = lower }).1) == nil)
    #expect(Self.refusal(Self.registered(Self.facts(knownTerm: 2) { $0.knownReign = unowned(2) }).1) == nil)
    // The terms of another data set do not compare: an empty node, and one that is to take another data set over.
    let empty = Self.facts(knownTerm: 3) {
      ($0.lineage, $0.history, $0.durableLSN, $0.appliedLSN) = (nil, TermHistory(), .none, .none)
    }
    #expect(Self.refusal(Self.registered(empty).1) == nil)
    let other = Self.facts(knownTerm: 3) { $0.lineage = node(8) }
    #expect(Self.refusal(Self.registered(other, .ordered).1) == nil)
    #expect(Self.refusal(Self.registered(other).1) == .otherDataSet, "without an order it is kept")
  }

  @Test func aVoteClosesTheLinkToTheOldMasterAtOnce() {
    var (applier, _) = Self.registered(Self.facts(knownTerm: 1))
    #expect(Self.refusal(applier.step(.voted(unowned(2)), now: at(1))) == nil)
    #expect(Self.refusal(applier.step(.voted(unowned(3)), now: at(2))) == .staleTerm)
    // Also while records stream, and no ack leaves with it.
    var streaming = ApplierTests.begun(ApplierTests.partial)
    _ = streaming.step(ApplierTests.log(11, 20, term: 2, committed: 20), now: at(1))
    let actions = streaming.step(.voted(unowned(5)), now: at(2))
    #expect(Self.refusal(actions) == .staleTerm)
    for action in actions { if case .sendAck = action { Issue.record("\(actions)") } }
    // Not connected: it is told at the next registration.
    var idle = Applier()
    #expect(idle.step(.voted(unowned(5)), now: at(1)) == [])
  }

  @Test func planAndFramesOfAnOlderTermAreRefused() {
    var (applier, _) = Self.registered(Self.facts(knownTerm: 2))
    var reply = ApplierTests.reply(ApplierTests.partial)
    reply.term = Term(1)
    #expect(Self.refusal(applier.step(.syncReply(reply), now: at(1))) == .staleTerm)

    let begun = ApplierTests.begun(ApplierTests.partial, facts: Self.facts(knownTerm: 2))
    func code(_ event: ApplierEvent) -> ReplicationError.Code? {
      var applier = begun
      return Self.refusal(applier.step(event, now: at(1)))
    }
    #expect(code(ApplierTests.frame(.heartbeat, .empty, last: 20, term: 1)) == .staleTerm)
    #expect(code(ApplierTests.frame(.heartbeat, .empty, last: 20, term: 2)) == nil)
    #expect(code(ApplierTests.frame(.heartbeat, .empty, last: 20, term: 0)) == nil)  // before the relay knows its term
    // Records of an older term are what catching up is made of.
    #expect(code(ApplierTests.log(11, 14, term: 1)) == nil)
  }
}

extension FencingTests {
  /// Its vote of the old data set, in term 9, must not keep it from the new master of term 2 once the copy is in place.
  @Test func aVoteOfAnotherDataSetBindsNobodyInTheNewOne() {
    var applier = ApplierTests.begun(
      SyncBegin(mode: .partial, startLSN: LSN(1), barrierLSN: LSN(0), lineage: node(9), history: terms((1, 1))),
      facts: Self.facts(knownTerm: 9) {
        $0.lineage = node(8)
        $0.history = TermHistory()
        $0.durableLSN = .none
        $0.appliedLSN = .none
      })
    #expect(applier.local?.lineage == node(9))
    #expect(Self.refusal(applier.step(ApplierTests.frame(.heartbeat, .empty, term: 2), now: at(1))) == nil)
    #expect(Self.refusal(applier.step(.voted(unowned(3)), now: at(2))) == .staleTerm)
  }

  /// Both wrote in term 2, each its own: the slave's records of it go.
  @Test func twoMastersOfOneTermLeaveEachOtherWhereItBegan() {
    let slave = TermHistory([.init(reign(1), firstLSN: LSN(1)), .init(reign(2, of: 3), firstLSN: LSN(50))])!
    let found = SyncPlanner.commonLSN(
      slavePosition: position(2, 80, of: 3), slaveHistory: slave, slaveLineage: node(1), masterLast: LSN(100),
      masterHistory: terms((1, 1), (2, 50)), masterLineage: node(1))
    #expect(found == LSN(49))
  }
}
