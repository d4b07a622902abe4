import Core
import Testing

@testable import Replication

@Suite struct HandoverTests {
  static func slave(
    _ n: UInt8, durable: UInt64, voter: Bool = true, streaming: Bool = true
  ) -> HandoverCandidate {
    HandoverCandidate(
      id: node(n), address: place(7400 + Int(n)), isVoter: voter, isStreaming: streaming, durableLSN: LSN(durable))
  }
  static func facts(_ change: (inout HandoverFacts) -> Void = { _ in }) -> HandoverFacts {
    var facts = HandoverFacts(id: node(1), term: Term(4), candidates: [slave(2, durable: 90), slave(3, durable: 95)])
    change(&facts)
    return facts
  }
  static let three = HandoverTarget(id: node(3), address: place(7403))
  static let order = HandoverOrder(term: Term(5), masterID: node(1), lastLSN: LSN(100))
  static func progress(_ durable: UInt64, last: UInt64 = 100, good: UInt64 = 100) -> HandoverEvent {
    .progress(targetDurable: LSN(durable), ownLast: LSN(last), good: LSN(good))
  }
  static func news(_ term: UInt32, from n: UInt8 = 3) -> HandoverEvent {
    .newMaster(
      NewMaster(term: Term(term), id: node(n), address: place(7400 + Int(n)), lineage: node(9), firstLSN: LSN(101)))
  }
  static func answer(_ term: UInt32, _ role: NodeState.Role, from n: UInt8 = 3) -> HandoverEvent {
    .stateAnswered(
      NodeState(
        id: node(n), address: place(7400 + Int(n)), role: role, lineage: node(9), reign: reign(term),
        last: position(4, 100)))
  }
  static func sent(_ facts: HandoverFacts = facts()) -> Handover {
    var handover = Handover()
    _ = handover.step(.start(facts), now: at(0))
    _ = handover.step(progress(100), now: at(1))
    return handover
  }

  /// Of two masters of one term the one with the larger id counts; this one is node 1.
  @Test func aRivalOfTheSameTermIsFollowedIfItCounts() {
    let term = Self.facts().term.value
    var handover = Self.sent()
    #expect(!handover.step(Self.news(term, from: 3), now: at(2)).isEmpty)
    var other = Self.sent()
    #expect(other.step(Self.news(term, from: 0), now: at(2)).isEmpty)
  }

  @Test func everythingIsThereAndTheTargetTakesOver() {
    var handover = Handover()
    #expect(handover.step(.start(Self.facts()), now: at(0)) == [.pauseWrites])
    #expect(handover.step(Self.progress(99), now: at(1)) == [])
    #expect(handover.step(Self.progress(100, good: 99), now: at(2)) == [])  // held there, but not yet good
    #expect(handover.step(Self.progress(100), now: at(3)) == [.sendHandover(Self.three, Self.order)])
    #expect(
      handover.step(Self.news(5), now: at(4)) == [.follow(place(7403), Term(5)), .resumeWrites, .finished(nil)])
    #expect(handover.state == .followed(Self.three, Term(5)) && !handover.isUnderWay)
  }

  /// Nobody would vote for it: to hold writes back until the time is over helps nobody.
  @Test func whereAQuorumCommitsATargetThatIsNoVoterIsRefusedAtOnce() {
    func refusal(_ change: (inout HandoverFacts) -> Void) -> String? {
      var handover = Handover()
      let actions = handover.step(
        .start(
          Self.facts {
            $0.needsVoter = true
            $0.candidates[0].isVoter = false
            change(&$0)
          }), now: at(0))
      if case .finished(let why?)? = actions.first { return actions.count == 1 ? why : nil }
      return nil
    }
    #expect(refusal { $0.target = place(7402) }?.hasPrefix("10.0.0.1:7402 is no voter of this row") == true)
    #expect(refusal { $0.target = place(7403) } == nil)
    #expect(refusal { _ in } == nil)
    #expect(refusal { $0.candidates[1].isVoter = false } == "no slave that follows the stream is a voter")
    #expect(
      refusal {
        $0.candidates[1].isVoter = false
        $0.needsVoter = false
      } == nil)
  }

  @Test func theTargetIsTheNamedOneOrTheBestVoter() {
    func target(_ change: (inout HandoverFacts) -> Void) -> UInt16? {
      var handover = Handover()
      _ = handover.step(.start(Self.facts(change)), now: at(0))
      if case .waiting(let target, _) = handover.state { return target.address.port }
      return nil
    }
    #expect(target { _ in } == 7403)
    #expect(target { $0.target = place(7402) } == 7402)
    #expect(target { $0.target = place(7409) } == nil)
    #expect(target { $0.candidates[1].isVoter = false } == 7402)
    #expect(target { $0.candidates[1].isStreaming = false } == 7402)
    #expect(target { $0.candidates[0].durableLSN = LSN(95) } == 7402)  // of equals the first
    #expect(target { for index in 0...1 { $0.candidates[index].isVoter = false } } == 7403)
    #expect(target { for index in 0...1 { $0.candidates[index].isStreaming = false } } == nil)
    #expect(
      target {
        $0.target = place(7403); $0.candidates[1].isStreaming = false
      } == nil)
    #expect(target { $0.isMaster = false } == nil)
  }

  @Test func beforeTheOrderEverythingCanGoBack() {
    func end(_ event: HandoverEvent, at milliseconds: UInt64 = 5) -> [HandoverAction] {
      var handover = Handover()
      _ = handover.step(.start(Self.facts { $0.timeoutMilliseconds = 1000 }), now: at(0))
      let actions = handover.step(event, now: at(milliseconds))
      #expect(actions.isEmpty == handover.isUnderWay)
      return actions
    }
    #expect(end(.abort) == [.resumeWrites, .finished("the handover was aborted")])
    #expect(end(.targetLost("cut")) == [.resumeWrites, .finished("the target 10.0.0.1:7403 was lost: cut")])
    #expect(end(.tick, at: 999) == [])
    #expect(
      end(.tick, at: 1000) == [
        .resumeWrites,
        .finished("the target 10.0.0.1:7403 did not get all of the log in time, it has LSN 95"),
      ])
    #expect(end(Self.news(5, from: 2)) == [.follow(place(7402), Term(5)), .resumeWrites, .finished(nil)])
    #expect(end(Self.news(4, from: 0)) == [])
    var idle = Handover()
    #expect(idle.step(.abort, now: at(0)) == [.finished("no handover is under way")])
    _ = idle.step(.start(Self.facts()), now: at(0))
    #expect(
      idle.step(.start(Self.facts()), now: at(0))
        == [.finished("a handover is under way already: FAILOVER ABORT ends it")])
  }

  @Test func byForceItIsHandedOverAsFarAsTheTargetIs() {
    var handover = Handover()
    _ = handover.step(
      .start(
        Self.facts {
          $0.timeoutMilliseconds = 1000
          $0.isForced = true
        }), now: at(0))
    _ = handover.step(Self.progress(97), now: at(1))
    #expect(
      handover.step(.tick, now: at(1000)) == [
        .sendHandover(
          Self.three, HandoverOrder(term: Term(5), masterID: node(1), lastLSN: LSN(97), isForced: true))
      ])
  }

  @Test func afterTheOrderTheTargetIsAskedAndBelieved() {
    for event in [HandoverEvent.targetLost("cut"), .abort] {
      var handover = Self.sent()
      #expect(handover.step(event, now: at(10)) == [.ask(Self.three)])
      #expect(
        handover.step(Self.answer(5, .master), now: at(11)) == [
          .follow(place(7403), Term(5)), .resumeWrites, .finished(nil),
        ])
    }
    var slow = Self.sent()
    #expect(slow.step(.tick, now: at(5000)) == [])
    #expect(!slow.seeksReign)
    #expect(slow.step(.tick, now: at(5001)) == [.ask(Self.three)])
    // From now on who holds more may stand: this node is nobody's master.
    #expect(slow.seeksReign)
    _ = slow.step(Self.answer(5, .master), now: at(5002))
    #expect(!slow.seeksReign)
  }

  @Test func aTargetThatDidNotTakeTheTermIsFencedOff() {
    var handover = Self.sent()
    _ = handover.step(.targetLost("cut"), now: at(10))
    #expect(handover.step(Self.answer(4, .slave), now: at(11)) == [.beginReign(Term(6))])
    #expect(handover.step(Self.news(5), now: at(12)) == [])
    #expect(
      handover.step(.reigns, now: at(13)) == [
        .resumeWrites,
        .finished("the target 10.0.0.1:7403 did not become master; this node is, in term 6"),
      ])
    #expect(handover.step(Self.news(5), now: at(14)) == [])
  }

  /// It was killed with the order in hand, and follows this node again.
  @Test func aTargetThatFollowsAgainIsNotWaitedFor() {
    var handover = Self.sent()
    #expect(handover.step(.targetYields, now: at(10)) == [.beginReign(Term(6))])
    #expect(handover.step(.targetYields, now: at(11)) == [])
    _ = handover.step(.reigns, now: at(12))
    #expect(!handover.isUnderWay)
  }

  /// The target won with the others, who do not vote for this node: then it must be found.
  @Test func aReignThatTheOthersDoNotWantIsNotBegun() {
    var handover = Self.sent()
    _ = handover.step(.targetLost("cut"), now: at(10))
    #expect(handover.step(.tick, now: at(5010)) == [.beginReign(Term(6))])
    #expect(handover.step(.tick, now: at(60_000)) == [])
    #expect(handover.step(.reignRefused("1 of 3 voters"), now: at(60_001)) == [.ask(Self.three)])
    // Each term is tried once.
    #expect(handover.step(.tick, now: at(65_001)) == [.beginReign(Term(7))])
    #expect(handover.step(.reignRefused("1 of 3 voters"), now: at(65_002)) == [.ask(Self.three)])
    #expect(handover.step(Self.answer(5, .master), now: at(65_003)).first == .follow(place(7403), Term(5)))
    #expect(handover.step(.reigns, now: at(65_004)) == [])
  }

  @Test func aTargetThatIsVotingGetsItsTime() {
    var handover = Self.sent()
    _ = handover.step(.targetLost("cut"), now: at(10))
    #expect(handover.step(Self.answer(5, .slave), now: at(11)) == [])
    #expect(handover.step(Self.answer(5, .slave, from: 2), now: at(12)) == [])  // nobody asked that one
    #expect(handover.step(.askFailed("refused"), now: at(509)) == [])
    #expect(handover.step(.tick, now: at(510)) == [.ask(Self.three)])
    #expect(handover.step(Self.news(5), now: at(511)).first == .follow(place(7403), Term(5)))
  }

  @Test func aTargetThatIsNotHeardOfIsFencedOffInTheEnd() {
    var handover = Self.sent()
    _ = handover.step(.targetLost("cut"), now: at(10))
    var asked = 0
    for milliseconds in stride(from: UInt64(60), to: 5010, by: 50) {
      let actions = handover.step(.tick, now: at(milliseconds))
      #expect(actions == [] || actions == [.ask(Self.three)])
      asked += actions.count
    }
    #expect(asked == 9)
    #expect(handover.step(.tick, now: at(5010)).first == .beginReign(Term(6)))
  }

  @Test func theLastTermsAreNotGivenAway() {
    for term in [UInt32.max, UInt32.max - 1] {
      var handover = Handover()
      _ = handover.step(.start(Self.facts { $0.term = Term(term) }), now: at(0))
      let actions = handover.step(Self.progress(100), now: at(1))
      #expect(actions.first == .resumeWrites)
    }
  }

  /// Whatever happens and in whatever order: once the order is out, writes are taken again only in a newer term.
  @Test(arguments: 0..<100 as Range<UInt64>) func noWriteIsTakenInAReignThatWasGivenAway(seed: UInt64) {
    var rng = Seeded(seed)
    var handover = Handover()
    var now = at(0)
    var isPaused = false
    var isGivenAway = false
    var isStillMaster = true
    var term: UInt32 = 4
    var reclaimed: UInt32?
    for _ in 0..<200 {
      now = now.advanced(by: UInt64.random(in: 0...1500, using: &rng))
      let event: HandoverEvent =
        switch Int.random(in: 0..<10, using: &rng) {
        case 8: .reigns
        case 9: .reignRefused("no majority")
        case 0:
          .start(
            Self.facts {
              $0.term = Term(term)
              $0.isMaster = isStillMaster
              $0.isForced = Bool.random(using: &rng)
            })
        case 1: Self.progress(UInt64.random(in: 95...100, using: &rng), good: UInt64.random(in: 99...100, using: &rng))
        case 2: .targetLost("cut")
        case 3: .abort
        case 4: Self.answer(term + UInt32.random(in: 0...1, using: &rng), Bool.random(using: &rng) ? .slave : .master)
        case 5: .askFailed("refused")
        case 6: Int.random(in: 0..<4, using: &rng) == 0 ? Self.news(term + 1) : .tick
        case _: .tick
        }
      if case .reigns = event, let new = reclaimed {
        term = new
        isGivenAway = false
        reclaimed = nil
      } else if case .reignRefused = event {
        reclaimed = nil
      }
      for action in handover.step(event, now: now) {
        switch action {
        case .pauseWrites:
          #expect(!isPaused)
          isPaused = true
        case .resumeWrites:
          #expect(isPaused && (!isGivenAway || !isStillMaster))
          isPaused = false
        case .sendHandover(_, let order):
          #expect(isPaused && !isGivenAway && order.term.value == term + 1)
          isGivenAway = true
        case .follow: isStillMaster = false
        case .beginReign(let new):
          #expect(isGivenAway && reclaimed == nil && new.value >= term + 2)
          reclaimed = new.value
        case .ask: #expect(isGivenAway)
        case .finished: break
        }
      }
      #expect(isPaused == handover.isUnderWay)
      if !isStillMaster { break }
    }
  }
}

/// The slave's side.
@Suite struct TakeOverTests {
  /// Follows the stream of master 100 in term 2, everything up to LSN 20 durable and visible.
  static func inSync() -> Applier {
    var applier = ApplierTests.begun(ApplierTests.partial)
    _ = applier.step(ApplierTests.log(11, 20, term: 2, committed: 20), now: at(1))
    _ = applier.step(
      ApplierTests.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: LSN(20))), term: 2), now: at(1))
    _ = applier.step(.durableAdvanced(LSN(20)), now: at(1))
    _ = applier.step(.appliedAdvanced(LSN(20)), now: at(1))
    #expect(applier.isInSync)
    return applier
  }
  static func order(_ change: (inout HandoverOrder) -> Void = { _ in }) -> HandoverOrder {
    var order = HandoverOrder(term: Term(3), masterID: node(100), lastLSN: LSN(20))
    change(&order)
    return order
  }
  static func frame(_ order: HandoverOrder, committed: UInt64 = 20) -> ApplierEvent {
    ApplierTests.frame(.handover, .handover(order), term: 2, committed: committed)
  }
  func refusal(_ applier: Applier, _ event: ApplierEvent) -> ReplicationError.Code? {
    var applier = applier
    let actions = applier.step(event, now: at(5))
    for action in actions { if case .takeOver = action { return nil } }
    return FencingTests.refusal(actions)
  }

  @Test func theSlaveTakesOverWhatIsWhollyThere() {
    var applier = Self.inSync()
    #expect(applier.step(Self.frame(Self.order()), now: at(2)) == [.takeOver(Self.order())])
    #expect(applier.step(.tick, now: at(3)) == [])  // once
  }

  @Test func itWaitsUntilTheLastRecordsAreVisible() {
    var applier = Self.inSync()
    _ = applier.step(ApplierTests.log(21, 22, term: 2, committed: 20), now: at(2))
    _ = applier.step(.durableAdvanced(LSN(22)), now: at(2))
    let order = Self.order { $0.lastLSN = LSN(22) }
    let actions = applier.step(Self.frame(order, committed: 22), now: at(3))
    #expect(actions.first == .applyUpTo(LSN(22), clock: wall(700)) && !actions.contains(.takeOver(order)))
    #expect(applier.step(.appliedAdvanced(LSN(22)), now: at(4)).last == .takeOver(order))
    // Not if the link is lost meanwhile.
    var cut = Self.inSync()
    _ = cut.step(ApplierTests.log(21, 22, term: 2, committed: 20), now: at(2))
    _ = cut.step(.durableAdvanced(LSN(22)), now: at(2))
    _ = cut.step(Self.frame(order, committed: 22), now: at(3))
    _ = cut.step(.linkLost("cut"), now: at(4))
    #expect(cut.step(.appliedAdvanced(LSN(22)), now: at(4)) == [])
  }

  @Test func itRefusesWhatItCannotTakeOver() {
    let applier = Self.inSync()
    #expect(refusal(applier, Self.frame(Self.order { $0.lastLSN = LSN(21) })) == .handoverRefused)
    #expect(refusal(applier, Self.frame(Self.order { $0.masterID = node(7) })) == .handoverRefused)
    #expect(refusal(applier, Self.frame(Self.order { $0.term = Term(2) })) == .staleTerm)
    var voted = applier
    _ = voted.step(.voted(unowned(2)), now: at(2))
    #expect(refusal(voted, Self.frame(Self.order())) == nil)
    voted.local?.knownReign = unowned(3)
    #expect(
      refusal(voted, ApplierTests.frame(.handover, .handover(Self.order()), term: 0, committed: 20)) == .staleTerm)
    // Durable here, but the master does not say that it is committed.
    var uncommitted = applier
    _ = uncommitted.step(ApplierTests.log(21, 22, term: 2, committed: 20), now: at(2))
    #expect(refusal(uncommitted, Self.frame(Self.order { $0.lastLSN = LSN(22) })) == .handoverRefused)  // not durable
    _ = uncommitted.step(.durableAdvanced(LSN(22)), now: at(2))
    #expect(refusal(uncommitted, Self.frame(Self.order { $0.lastLSN = LSN(22) }, committed: 21)) == .handoverRefused)
    #expect(
      refusal(
        uncommitted,
        Self.frame(
          Self.order {
            $0.lastLSN = LSN(22)
            $0.isForced = true
          }, committed: 20)) == nil)
    // Not in step yet.
    #expect(refusal(ApplierTests.begun(ApplierTests.partial), Self.frame(Self.order())) == .unexpectedFrame)
  }

  @Test func theOrderComesBackAsItWasWritten() throws {
    let order = Self.order { $0.isForced = true }
    #expect(try HandoverOrder.decode(order.encoded()) == order)
    let bytes = order.encoded()
    for end in 0..<bytes.count { #expect(throws: FrameError.self) { try HandoverOrder.decode(Array(bytes[0..<end])) } }
    #expect(throws: FrameError.self) { try HandoverOrder.decode(bytes + [0]) }
    for (index, value) in [(0, UInt8(2)), (33, 2)] {
      var bad = bytes
      bad[index] = value
      #expect(throws: FrameError.self, "\(index)") { try HandoverOrder.decode(bad) }
    }
    #expect(throws: FrameError.self) { try HandoverOrder.decode(Self.order { $0.term = .none }.encoded()) }
    let frames = decodeAll(FrameHeader(type: .handover, term: Term(2)).frame(body: bytes))
    #expect(frames.frames.count == 1 && frames.error == nil)
    #expect(!FrameType.handover.mayComeFromSlave && FrameType.handover.mayComeFromMaster)
  }

  @Test func theRelaySendsItOnlyToASlaveThatFollowsTheStream() {
    var relay = Relay(now: at(0))
    _ = relay.step(.start(RelayPlan(begin: RelayTests.begin)), now: at(0))
    let body = Self.order().encoded()
    #expect(!relay.step(.broadcast(.handover, body, at: .none), now: at(1)).contains { Self.isHandover($0) })
  }
  static func isHandover(_ action: RelayAction) -> Bool {
    if case .sendControl(let header, _) = action { header.type == .handover } else { false }
  }
}
