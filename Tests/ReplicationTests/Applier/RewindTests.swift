import Core
import Testing

@testable import Replication

/// A node whose log has a tail of its own cuts it, but only as far as it can check that it must.
@Suite struct RewindTests {
  /// At LSN 18 of term 1; the master of `ApplierTests` went on with term 2 from LSN 15.
  static func facts(_ change: (inout LocalFacts) -> Void = { _ in }) -> LocalFacts {
    ApplierTests.facts {
      $0.durableLSN = LSN(18)
      $0.appliedLSN = LSN(17)
      $0.rewindFloor = LSN(5)
      change(&$0)
    }
  }
  static let begin = SyncBegin(
    mode: .partial, startLSN: LSN(15), barrierLSN: LSN(20), lineage: node(9), history: terms((1, 1), (2, 15)))
  static func reply(to lsn: UInt64 = 14, _ change: (inout SyncReply) -> Void = { _ in }) -> SyncReply {
    var reply = ApplierTests.reply(begin)
    reply.startLSN = LSN(lsn + 1)
    reply.rewindTo = LSN(lsn)
    change(&reply)
    return reply
  }
  static func asked(
    _ facts: LocalFacts = facts(), _ change: (inout RegisterReply) -> Void = { _ in },
    reason: FollowReason = .configured
  ) -> Applier {
    var applier = Applier()
    _ = applier.step(.attach(place(7400), reason), now: at(0))
    _ = applier.step(.connected(facts), now: at(0))
    _ = applier.step(.registerReply(ApplierTests.master(change)), now: at(0))
    return applier
  }
  static func cut(_ facts: LocalFacts) -> LocalFacts {
    var facts = facts
    facts.durableLSN = LSN(14)
    facts.appliedLSN = LSN(14)
    return facts
  }

  @Test func theFloorIsOfferedOnlyByANodeThatCanCut() {
    func offered(_ facts: LocalFacts) -> LSN?? {
      var applier = Applier()
      _ = applier.step(.attach(place(7400)), now: at(0))
      _ = applier.step(.connected(facts), now: at(0))
      for action in applier.step(.registerReply(ApplierTests.master()), now: at(0)) {
        if case .sendSync(let request) = action { return .some(request.rewindFloor) }
      }
      return nil
    }
    #expect(offered(Self.facts()) == .some(LSN(5)))
    #expect(offered(Self.facts { $0.rewindFloor = nil }) == .some(nil))
    #expect(offered(Self.facts { $0.capabilities = [.lz4] }) == .some(nil))
  }

  @Test func nothingIsCutBeforeAMasterIsFoundBehindAnOrder() {
    var applier = Self.asked(Self.facts { ($0.isOrdered, $0.isOrderOpen) = (true, true) })
    let actions = applier.step(.syncReply(Self.reply()), now: at(1))
    #expect(!actions.contains { if case .rewind = $0 { true } else { false } })
    #expect("\(actions)".contains("no master was found yet"))
  }

  @Test func nothingIsCutForALogThatIsTheBeginningOfTheOwn() {
    var applier = Self.asked { ($0.last, $0.history, $0.reign) = (position(1, 14), terms((1, 1)), reign(1)) }
    let actions = applier.step(.syncReply(Self.reply()), now: at(1))
    #expect("\(actions)".contains("must get the rest first"))
  }

  @Test func theTailIsCutBeforeTheSyncBegins() {
    var applier = Self.asked()
    #expect(applier.step(.syncReply(Self.reply()), now: at(1)) == [.rewind(to: LSN(14))])
    #expect(applier.stateName == "cutting its log" && !applier.isInSync)
    #expect(applier.step(.rewound(Self.cut(Self.facts())), now: at(60_000)) == [])
    #expect(applier.state == .awaitingBegin(Self.reply()) && applier.local?.durableLSN == LSN(14))
    #expect(applier.step(.tick, now: at(60_001)) == [])  // the cut took long; that was not the master's silence
    #expect(
      applier.step(ApplierTests.frame(.syncBegin, .syncBegin(Self.begin), term: 2), now: at(60_002)) == [
        .sendAck(Ack(durableLSN: LSN(14), appliedLSN: LSN(14)))
      ])
    guard case .receivingLog(let log) = applier.state else {
      Issue.record("\(applier.stateName)")
      return
    }
    #expect(log.check.nextLSN == LSN(15))
  }

  /// It was taken out of the voters while it was away: nobody can tell it whether what it holds was acknowledged.
  @Test func aVoterThatWasGivenUpFollowsOnlyWhatGoesOnWhereItsLogEnds() {
    let own = ApplierTests.facts().id
    let lists = [VoterList([own], at: LSN(2)), VoterList([own, node(50)], at: LSN(9)), VoterList([own], at: LSN(16))]
    func answer(
      _ voters: [NodeID]?, _ lists: [VoterList] = lists, mode: SyncMode = .partial, allows: Bool = false
    ) -> Bool {
      var applier = Self.asked(
        Self.facts {
          $0.voterLists = lists
          $0.acceptDataLoss = allows
        }
      ) { $0.voters = voters }
      let reply = mode == .full ? ApplierTests.reply(ApplierTests.full) : Self.reply()
      _ = applier.step(.syncReply(reply), now: at(1))
      return applier.isConnected
    }
    #expect(!answer([node(50)]) && !answer([node(50)], mode: .full))
    #expect(answer([node(50)], allows: true))
    #expect(answer([node(50), own]) && answer([]) && answer(nil), "it is a voter there, or nothing is said")
    // Its own log did not name it where the two part, or named nobody else.
    #expect(answer([node(50)], [VoterList([own], at: LSN(2)), VoterList([own, node(50)], at: LSN(16))]))
    #expect(answer([node(50)], []))
  }

  @Test func aDeltaMayFollowACutToo() {
    var applier = Self.asked()
    _ = applier.step(.syncReply(Self.reply { $0.mode = .delta }), now: at(1))
    _ = applier.step(.rewound(Self.cut(Self.facts())), now: at(2))
    var begin = Self.begin
    begin.mode = .delta
    let actions = applier.step(ApplierTests.frame(.syncBegin, .syncBegin(begin), term: 2), now: at(3))
    #expect(actions.first == .beginDelta(afterLSN: LSN(14), begin))
  }

  func refusal(_ reply: SyncReply, _ facts: LocalFacts = facts(), _ change: (inout RegisterReply) -> Void = { _ in })
    -> ReplicationError.Code?
  {
    var applier = Self.asked(facts, change)
    let actions = applier.step(.syncReply(reply), now: at(1))
    if actions.contains(where: { if case .rewind = $0 { true } else { false } }) { return nil }
    return FencingTests.refusal(actions)
  }

  @Test func aMasterCannotMakeItCutWhatItNeedNotCut() {
    #expect(refusal(Self.reply()) == nil)
    #expect(refusal(Self.reply(), Self.facts { $0.rewindFloor = nil }) == .planMismatch)
    #expect(refusal(Self.reply(), Self.facts { $0.capabilities = [.delta] }) == .planMismatch)
    #expect(refusal(Self.reply(), Self.facts { $0.rewindFloor = LSN(15) }) == .rewindRefused)
    #expect(refusal(Self.reply(), Self.facts { $0.rewindFloor = LSN(14) }) == nil)
    #expect(refusal(Self.reply(to: 13)) == .rewindRefused)  // both hold LSN 14
    #expect(refusal(Self.reply(to: 15)) == .rewindRefused)  // the master's LSN 15 is another one
    #expect(refusal(Self.reply(to: 18)) == .planMismatch)  // there is nothing to cut
    #expect(refusal(Self.reply(to: 100)) == .planMismatch)
    #expect(refusal(Self.reply(to: .max - 1)) == .planMismatch)
    #expect(refusal(Self.reply(to: 0)) == .planMismatch)
    #expect(refusal(Self.reply { $0.startLSN = LSN(16) }) == .planMismatch)
    #expect(refusal(Self.reply { $0.mode = .full }) == .planMismatch)
    // Of another data set: not reached without an order, and with one nothing is cut.
    let other = Self.facts { $0.lineage = node(8) }
    #expect(Self.asked(other).lastError?.code == .otherDataSet)
    var ordered = Self.asked(other, reason: .ordered)
    #expect(FencingTests.refusal(ordered.step(.syncReply(Self.reply()), now: at(1))) == .otherLineage)
    #expect(refusal(Self.reply(), Self.facts()) { $0.history = terms((3, 1)) } == .rewindRefused)
    // What a quorum had is cut only if the operator gives it up.
    #expect(refusal(Self.reply(), Self.facts { $0.securedLSN = LSN(15) }) == .rewindRefused)
    #expect(refusal(Self.reply(), Self.facts { $0.securedLSN = LSN(14) }) == nil)
    #expect(
      refusal(
        Self.reply(),
        Self.facts {
          $0.securedLSN = LSN(15)
          $0.acceptDataLoss = true
        }) == nil)
  }

  @Test func nothingIsTakenWhileTheLogIsCutNorAfterACutThatWentWrong() {
    var busy = Self.asked()
    _ = busy.step(.syncReply(Self.reply()), now: at(1))
    var other = busy
    #expect(
      FencingTests.refusal(
        other.step(ApplierTests.frame(.syncBegin, .syncBegin(Self.begin), term: 2), now: at(2))) == .unexpectedFrame)
    var failed = busy
    #expect(FencingTests.refusal(failed.step(.storeFailed("disk full"), now: at(2))) == .storeFailed)
    for change: (inout LocalFacts) -> Void in [
      { $0.durableLSN = LSN(13) }, { $0.durableLSN = LSN(18) }, { $0.appliedLSN = LSN(15) }, { $0.lineage = nil },
      { $0.history = terms((2, 1)) },
    ] {
      var applier = busy
      var facts = Self.cut(Self.facts())
      change(&facts)
      #expect(FencingTests.refusal(applier.step(.rewound(facts), now: at(2))) == .storeFailed)
    }
    // An answer of a link that is gone changes nothing.
    _ = busy.step(.linkLost("cut"), now: at(2))
    #expect(busy.step(.rewound(Self.cut(Self.facts())), now: at(3)) == [])
    #expect(busy.local?.durableLSN == LSN(18))
  }

  /// The whole way, with the link cut before any turn: nothing of the tail stays, nothing is lost from sight.
  @Test func anOldMasterComesBackAndFollows() {
    for cutAt in 0..<40 {
      let pair = StreamHarness()
      pair.seedSlave(upTo: 39)
      for lsn in UInt64(40)...45 { pair.ownLog[lsn] = "another record \(lsn)" }
      pair.facts.durableLSN = LSN(45)
      pair.facts.appliedLSN = LSN(45)
      pair.facts.history = terms((1, 1))
      pair.facts.rewindFloor = LSN(20)
      pair.start()
      for _ in 0..<cutAt { pair.turn() }
      pair.cut()
      pair.write(2)
      pair.run { pair.isSettled }
      pair.expectEqual(from: 1)
      #expect(pair.swaps == 0 && pair.lostLog.count == 6 && pair.lostLog[40] == "another record 40", "cut at \(cutAt)")
    }
  }

  private func ahead() -> StreamHarness {
    let pair = StreamHarness(masterLast: 60)
    pair.seedSlave(upTo: 60)
    for lsn in UInt64(61)...63 { pair.ownLog[lsn] = StreamHarness.record(lsn, 2) }
    pair.facts.durableLSN = LSN(63)
    pair.facts.appliedLSN = LSN(60)
    pair.facts.rewindFloor = LSN(60)
    return pair
  }

  /// Its master has still to get the rest itself (decision 0031).
  @Test func aSlaveAheadOfItsMasterInTheSameTermCutsNothing() {
    let pair = ahead()
    pair.start()
    for _ in 0..<400 { pair.turn() }
    #expect(pair.lostLog.isEmpty && pair.swaps == 0 && pair.ownLog.count == 63 && !pair.applier.isInSync)
    #expect(pair.lastReport?.refusal?.code == .syncImpossible)
  }

  /// Whatever was given up: what the other node has not got yet may come to it, and then nothing need be cut.
  @Test func aSlaveAheadOfItsMasterInTheSameTermWaitsAlsoWhereDataLossIsAccepted() {
    let pair = ahead()
    pair.facts.acceptDataLoss = true
    pair.start()
    for _ in 0..<400 { pair.turn() }
    #expect(pair.lostLog.isEmpty && pair.swaps == 0 && pair.ownLog.count == 63)
    #expect(pair.lastReport?.refusal?.code == .syncImpossible)
  }
}
