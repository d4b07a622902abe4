import Core
import Testing

@testable import Replication

/// The slave's side of a delta, event by event.
@Suite struct DeltaTests {
  static let begin = SyncBegin(
    mode: .delta, startLSN: LSN(11), barrierLSN: LSN(20), lineage: node(9), logBytes: 500,
    history: terms((1, 1), (2, 15)))
  static func delta(
    _ first: UInt64, _ last: UInt64, term: UInt32 = 1, bytes: Int = 100, committed: UInt64 = 30, more: Bool = false
  ) -> ApplierEvent {
    var header = FrameHeader(
      type: .delta, bodyBytes: bytes, term: Term(term), firstLSN: LSN(first), lastLSN: LSN(last),
      committedLSN: LSN(committed), masterClock: wall(700))
    header.isContinued = more
    return .frame(header, .bulk)
  }
  static func end(
    committed: UInt64 = 30, _ change: (inout DeltaEnd) -> Void = { _ in }
  ) -> ApplierEvent {
    var end = DeltaEnd(
      barrierLSN: LSN(24), term: Term(2), records: 3, bytes: 200, checksum: 7, history: terms((1, 1), (2, 15)))
    change(&end)
    return ApplierTests.frame(.deltaEnd, .deltaEnd(end), bytes: 60, committed: committed)
  }
  static func staged(_ records: UInt64, _ bytes: UInt64, _ checksum: UInt32) -> ApplierEvent {
    .deltaStaged(StagedDelta(records: records, bytes: bytes, checksum: checksum))
  }
  /// Two frames are here and staged; the end is missing.
  static func received(facts: LocalFacts = ApplierTests.facts()) -> Applier {
    var applier = ApplierTests.begun(begin, facts: facts)
    _ = applier.step(delta(12, 14), now: at(1))
    _ = applier.step(staged(2, 100, 5), now: at(1))
    _ = applier.step(delta(19, 22, term: 2), now: at(2))
    _ = applier.step(staged(3, 200, 7), now: at(2))
    return applier
  }
  /// The code of the failure; checks that the delta is abandoned before the link is closed and nothing else happens.
  func refusal(_ applier: Applier, _ event: ApplierEvent) -> ReplicationError.Code? {
    var applier = applier
    let actions = applier.step(event, now: at(50))
    guard actions.count == 3, actions[0] == .abandonDelta, case .closeLink(let error) = actions[1],
      case .scheduleRetry = actions[2], case .disconnected = applier.state
    else { return nil }
    return error.code
  }

  @Test func fromBeginToInSync() {
    var applier = Applier()
    _ = applier.step(.attach(place(7400)), now: at(0))
    _ = applier.step(.connected(ApplierTests.facts()), now: at(0))
    _ = applier.step(.registerReply(ApplierTests.master()), now: at(0))
    _ = applier.step(.syncReply(ApplierTests.reply(Self.begin)), now: at(0))
    #expect(
      applier.step(ApplierTests.frame(.syncBegin, .syncBegin(Self.begin)), now: at(1)) == [
        .beginDelta(afterLSN: LSN(10), Self.begin), .sendAck(Ack(durableLSN: LSN(10), appliedLSN: LSN(10))),
      ])
    #expect(applier.stateName == "delta_sync" && !applier.isInSync)
    #expect(
      applier.step(Self.delta(12, 14), now: at(2)) == [
        .stageDelta(firstLSN: LSN(12), lastLSN: LSN(14), term: Term(1)),
        .masterSeen(lastLSN: LSN(30), clock: wall(700)),
      ])
    #expect(applier.fileProgress == SyncProgress(bytesDone: 0, bytesTotal: 500))
    // It holds no LSN more than before: an ack names bytes.
    #expect(
      applier.step(Self.staged(2, 100, 5), now: at(3)) == [
        .sendAck(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 100, heardClock: wall(700)))
      ])
    _ = applier.step(Self.delta(19, 22, term: 2), now: at(4))
    // The end is here before the last record is staged: it waits.
    #expect(applier.step(Self.end(), now: at(5)) == [])
    guard case .frame(_, .deltaEnd(let end)) = Self.end() else { return }
    #expect(
      applier.step(Self.staged(3, 200, 7), now: at(6)) == [
        .installDelta(end, clock: wall(700)),
        .sendAck(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 200, heardClock: wall(700))),
      ])
    #expect(applier.stateName == "delta_install")
    #expect(
      applier.step(.deltaInstalled(barrierLSN: LSN(24)), now: at(7)) == [
        .markInSync(LSN(24)),
        .sendAck(
          Ack(
            durableLSN: LSN(24), appliedLSN: LSN(24), appliedClock: wall(700), fileBytes: 200, heardClock: wall(700))),
      ])
    #expect(applier.isInSync && applier.local?.position == position(2, 24))
    #expect(
      applier.step(ApplierTests.log(25, 26, term: 2, committed: 26), now: at(8)).first
        == .appendRecords(.own, firstLSN: LSN(25), lastLSN: LSN(26), term: Term(2)))
  }

  @Test func theOldDataIsAllVisibleBeforeTheDeltaGoesBehindIt() {
    var applier = ApplierTests.begun(Self.begin, facts: ApplierTests.facts { $0.appliedLSN = LSN(8) })
    #expect(
      applier.step(ApplierTests.frame(.heartbeat, .empty, last: 30, bytes: 0, committed: 9), now: at(1)).last
        == .applyUpTo(LSN(9), clock: wall(700)))
    _ = applier.step(.appliedAdvanced(LSN(9)), now: at(1))
    let actions = applier.step(
      Self.end {
        $0.records = 0
        $0.bytes = 0
        $0.checksum = 0
      }, now: at(2))
    guard actions.count >= 2, case .installDelta = actions[1] else {
      Issue.record("\(actions)")
      return
    }
    #expect(actions[0] == .applyUpTo(LSN(10), clock: wall(700)))
  }

  @Test func hostileDeltaFrames() {
    let applier = Self.received()
    #expect(refusal(applier, Self.delta(22, 23, term: 2)) == .deltaOrder)  // overlapping
    #expect(refusal(applier, Self.delta(12, 14)) == .deltaOrder)  // again
    #expect(refusal(applier, Self.delta(5, 30, term: 2)) == .deltaOrder)
    #expect(refusal(applier, Self.delta(24, 23, term: 2)) == .deltaOrder)
    #expect(refusal(applier, Self.delta(23, .max, term: 2, committed: .max)) == .deltaOrder)
    #expect(refusal(applier, Self.delta(23, 31, term: 2)) == .deltaOrder)  // beyond what is committed
    #expect(refusal(applier, Self.delta(23, 24, term: 1)) == .termBackwards)
    #expect(refusal(applier, ApplierTests.log(11, 12)) == .unexpectedFrame)
    #expect(refusal(applier, ApplierTests.log(25, 25, term: 2)) == .unexpectedFrame)
    #expect(refusal(applier, ApplierTests.frame(.fileChunk, first: 8)) == .unexpectedFrame)
    #expect(
      refusal(applier, ApplierTests.frame(.syncEnd, .syncEnd(SyncEnd(snapshot: .none, barrierLSN: LSN(20)))))
        == .unexpectedFrame)
    #expect(refusal(ApplierTests.begun(Self.begin), Self.delta(10, 12)) == .deltaOrder)  // what it holds already
    var partial = ApplierTests.begun(ApplierTests.partial)
    guard case .closeLink(let error)? = partial.step(Self.delta(12, 14), now: at(1)).first else {
      Issue.record("a delta frame in a partial sync")
      return
    }
    #expect(error.code == .unexpectedFrame)
  }

  @Test func anEndThatDoesNotFitAbandonsEverything() {
    let applier = Self.received()
    #expect(refusal(applier, Self.end { $0.records = 4 }) == .deltaIncomplete)
    #expect(refusal(applier, Self.end { $0.records = 2 }) == .deltaIncomplete)
    #expect(refusal(applier, Self.end { $0.bytes = 201 }) == .deltaIncomplete)
    #expect(refusal(applier, Self.end { $0.bytes = 100 }) == .deltaIncomplete)
    #expect(refusal(applier, Self.end { $0.checksum = 8 }) == .deltaIncomplete)
    #expect(refusal(applier, Self.end { $0.barrierLSN = LSN(21) }) == .barrierMissed)  // before the last record
    #expect(refusal(applier, Self.end { $0.barrierLSN = LSN(31) }) == .barrierMissed)  // not committed
    #expect(refusal(ApplierTests.begun(Self.begin), Self.end { $0.barrierLSN = LSN(19) }) == .barrierMissed)
    #expect(
      refusal(
        applier,
        Self.end {
          $0.term = Term(1)
          $0.history = terms((1, 1))
        }) == .planMismatch)
    #expect(refusal(applier, Self.end { $0.history = terms((2, 5)) }) == .planMismatch)  // not this node's past
    var ended = ApplierTests.begun(Self.begin)
    _ = ended.step(Self.delta(12, 14, bytes: 200), now: at(1))
    _ = ended.step(Self.end(), now: at(1))
    #expect(refusal(ended, Self.end()) == .unexpectedFrame)
    #expect(refusal(ended, Self.delta(15, 16)) == .unexpectedFrame)
  }

  @Test func aPlanThatDoesNotContinueThisNodeIsRefused() {
    func code(_ facts: LocalFacts = ApplierTests.facts(), _ change: (inout SyncBegin) -> Void) -> ReplicationError.Code?
    {
      var begin = Self.begin
      change(&begin)
      var applier = Applier()
      _ = applier.step(.attach(place(7400)), now: at(0))
      _ = applier.step(.connected(facts), now: at(0))
      _ = applier.step(.registerReply(ApplierTests.master()), now: at(0))
      _ = applier.step(.syncReply(ApplierTests.reply(begin)), now: at(0))
      guard
        case .closeLink(let error)? = applier.step(ApplierTests.frame(.syncBegin, .syncBegin(begin)), now: at(0)).first
      else { return nil }
      return error.code
    }
    #expect(code { _ in } == nil)
    #expect(code { $0.startLSN = LSN(12) } == .planMismatch)
    #expect(code { $0.lineage = node(8) } == .otherLineage)
    #expect(code { $0.history = terms((2, 1)) } == .planMismatch)
    #expect(code(ApplierTests.facts { $0.capabilities = [.lz4] }) { _ in } == .planMismatch)
  }

  @Test func aRecordInPartsIsStagedWithItsLast() {
    var applier = ApplierTests.begun(Self.begin)
    #expect(
      applier.step(Self.delta(15, 15, bytes: 4 << 20, more: true), now: at(1)) == [
        .keepDeltaPart(LSN(15), bytes: 4 << 20)
      ])
    #expect(refusal(applier, Self.delta(16, 16)) == .deltaOrder)
    #expect(refusal(applier, Self.delta(15, 17)) == .deltaOrder)
    #expect(refusal(applier, Self.end { $0.bytes = 4 << 20 }) == .deltaIncomplete)
    #expect(
      applier.step(Self.delta(15, 15, bytes: 9), now: at(1)).first
        == .stageDelta(firstLSN: LSN(15), lastLSN: LSN(15), term: Term(1)))
    for _ in 0..<256 { _ = applier.step(Self.delta(17, 17, bytes: 4 << 20, more: true), now: at(1)) }
    #expect(refusal(applier, Self.delta(17, 17, bytes: 1, more: true)) == .deltaOrder)
  }

  @Test func whateverEndsItEarlyAbandonsIt() {
    #expect(refusal(Self.received(), .linkLost("cut")) == .linkLost)
    #expect(refusal(Self.received(), .storeFailed("disk full")) == .storeFailed)
    #expect(refusal(Self.received(), .frameFailed(FrameError(.badBodyChecksum, "x"))) == .badFrame)
    var silent = Self.received()
    #expect(silent.step(.tick, now: at(60_000)).first == .abandonDelta)
    var detached = Self.received()
    #expect(detached.step(.detach, now: at(5)).first == .abandonDelta)
    var other = Self.received()
    #expect(other.step(.attach(place(7500)), now: at(5)).first == .abandonDelta)
    var installing = Self.received()
    _ = installing.step(Self.end(), now: at(5))
    #expect(installing.stateName == "delta_install")
    #expect(refusal(installing, .storeFailed("disk full")) == .storeFailed)
    // What comes late from the link that is gone changes nothing.
    _ = installing.step(.linkLost("cut"), now: at(6))
    #expect(installing.step(.deltaInstalled(barrierLSN: LSN(24)), now: at(7)) == [])
    #expect(installing.step(Self.staged(3, 200, 7), now: at(7)) == [])
  }
}

/// The master's side.
@Suite struct DeltaRelayTests {
  func started(_ change: (inout RelayConfig) -> Void = { _ in }) -> Relay {
    var relay = Relay(config: RelayTests.config(change), now: at(0))
    _ = relay.step(.start(RelayPlan(begin: DeltaTests.begin)), now: at(0))
    return relay
  }
  func piece(_ first: UInt64, _ last: UInt64, scanned: UInt64? = nil, bytes: Int = 60) -> RelayEvent {
    .deltaRead(
      DeltaPiece(
        records: .init(firstLSN: LSN(first), lastLSN: LSN(last), term: Term(1), count: 2, bytes: bytes),
        scannedTo: LSN(scanned ?? last), checksum: 1))
  }
  func sent(_ actions: [RelayAction], _ type: FrameType) -> Int {
    actions.count {
      switch $0 {
      case .sendControl(let header, _), .sendRead(let header): header.type == type
      case .readLog, .readFile, .readDelta, .sent, .progress, .streaming, .releaseFiles, .wake, .close: false
      }
    }
  }

  @Test func aDeltaIsRecordsThenItsEndThenTheStream() {
    var relay = started()
    // Not below the planned barrier, and not beyond what is committed.
    #expect(relay.step(RelayTests.log(19), now: at(0)) == [])
    #expect(
      relay.step(RelayTests.log(24, committed: 22), now: at(0)) == [.readDelta(upTo: LSN(22), bytesMax: 64)])
    #expect(
      relay.step(piece(12, 15, scanned: 16), now: at(1)) == [
        .sendRead(RelayTests.head(.delta, bytes: 60, first: 12, last: 15, committed: 22)),
        .sent(upTo: LSN(10), fileBytes: 60), .readDelta(upTo: LSN(22), bytesMax: 64),
      ])
    // Nothing alive: it goes on. The log has grown: the next read reaches further.
    _ = relay.step(RelayTests.log(25), now: at(1))
    #expect(
      relay.step(.deltaRead(DeltaPiece(records: nil, scannedTo: LSN(20), checksum: 1)), now: at(1)) == [
        .readDelta(upTo: LSN(25), bytesMax: 64)
      ])
    let last = DeltaPiece(
      records: .init(firstLSN: LSN(23), lastLSN: LSN(24), term: Term(1), count: 1, bytes: 40), scannedTo: LSN(25),
      checksum: 77, endHistory: terms((1, 1)))
    let end = DeltaEnd(
      barrierLSN: LSN(25), term: Term(1), records: 3, bytes: 100, checksum: 77, history: terms((1, 1))
    ).encoded()
    #expect(
      relay.step(.deltaRead(last), now: at(2)) == [
        .sendRead(RelayTests.head(.delta, bytes: 40, first: 23, last: 24, committed: 25)),
        .sent(upTo: LSN(10), fileBytes: 100),
        .sendControl(RelayTests.head(.deltaEnd, bytes: end.count, committed: 25), end),
        .sent(upTo: LSN(25), fileBytes: 100),
        .progress(SyncProgress(bytesDone: 0, bytesTotal: 500)), .streaming,
      ])
    #expect(relay.state == .streaming(next: LSN(26)))
    #expect(relay.step(RelayTests.log(26), now: at(3)) == [.readLog(from: LSN(26), bytesMax: 64)])
  }

  @Test func noLSNOfADeltaIsAcknowledgedBeforeItsEnd() {
    var relay = started()
    _ = relay.step(RelayTests.log(24), now: at(0))
    _ = relay.step(piece(12, 20), now: at(0))
    #expect(relay.step(.acked(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 60)), now: at(1)) == [])
    var early = relay
    _ = early.step(.acked(Ack(durableLSN: LSN(12), appliedLSN: LSN(10), fileBytes: 60)), now: at(1))
    guard case .closed(let error) = early.state else {
      Issue.record("\(early.state)")
      return
    }
    #expect(error.code == .badAck)
    _ = relay.step(
      .deltaRead(DeltaPiece(records: nil, scannedTo: LSN(24), checksum: 1, endHistory: terms((1, 1)))), now: at(2))
    #expect(relay.step(.acked(Ack(durableLSN: LSN(24), appliedLSN: LSN(24), fileBytes: 60)), now: at(3)) == [])
  }

  @Test func windowSocketAndRateHoldBackADelta() {
    var window = started { $0.windowBytesMax = 100 }
    _ = window.step(RelayTests.log(24), now: at(0))
    _ = window.step(piece(11, 12), now: at(0))
    #expect(sent(window.step(piece(13, 14), now: at(0)), .delta) == 1)
    #expect(window.inFlightBytes == 120)
    #expect(window.step(RelayTests.log(25), now: at(1)) == [])
    #expect(
      window.step(.acked(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 60)), now: at(1)) == [
        .readDelta(upTo: LSN(25), bytesMax: 64)
      ])
    var socket = started()
    _ = socket.step(.writable(false), now: at(0))
    #expect(socket.step(RelayTests.log(24), now: at(0)) == [])
    #expect(socket.step(.writable(true), now: at(0)) == [.readDelta(upTo: LSN(24), bytesMax: 64)])
    var rate = started { $0.syncBytesPerSecond = 1000 }
    _ = rate.step(RelayTests.log(24), now: at(0))
    #expect(rate.step(piece(11, 12, bytes: 600), now: at(0)).last == .wake(at: at(501)))
    var yielding = started()
    _ = yielding.step(.liveTrafficWaiting(true), now: at(0))
    #expect(yielding.step(RelayTests.log(24), now: at(0)) == [.wake(at: at(100))])
  }

  @Test func aTombstoneThatIsGoneAsksForANewPlan() {
    var relay = started()
    _ = relay.step(RelayTests.log(24), now: at(0))
    let actions = relay.step(.logGone(availableFrom: LSN(18), ReplicationError(.pinLost, "away")), now: at(1))
    #expect(sent(actions, .needPlan) == 1 && actions.last == .close(ReplicationError(.pinLost, "away")))
  }

  @Test func progressCountsWhatIsStaged() {
    var relay = started()
    _ = relay.step(RelayTests.log(24), now: at(0))
    _ = relay.step(piece(11, 12), now: at(10))
    _ = relay.step(.acked(Ack(durableLSN: LSN(10), appliedLSN: LSN(10), fileBytes: 50)), now: at(20))
    #expect(
      relay.step(.tick(masterClock: wall(0)), now: at(1000)).first
        == .progress(SyncProgress(bytesDone: 50, bytesTotal: 500, bytesPerSecond: 50, etaMilliseconds: 9000)))
  }
}

/// Both, over real frames.
@Suite struct DeltaStreamTests {
  func pair(masterLast: UInt64 = 60, slave: UInt64 = 12, tombstonesFrom: UInt64 = 1) -> StreamHarness {
    let pair = StreamHarness(masterLast: masterLast)
    pair.tombstonesFrom = tombstonesFrom
    if slave > 0 { pair.seedSlave(upTo: slave) }
    pair.facts.mode = .delta
    return pair
  }

  @Test func aSlaveThatWasAwayGetsWhatIsAliveAndFollows() {
    let pair = pair()
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .delta && pair.deltasInstalled == 1 && pair.swaps == 0 && pair.errors.isEmpty)
    // 12 that it had, and the newest of each of seven keys.
    #expect(pair.ownLog.count == 19)
    pair.expectSameState()
    pair.write(25)
    pair.run { pair.isSettled }
    pair.expectSameState()
    #expect(pair.ownLog.count == 44 && pair.registry.slave(node(1))?.state == .streaming(pair.link))
    #expect(pair.registry.pinnedLSN(now: pair.now) == LSN(86))
  }

  @Test func writesDuringTheWalkBelongToIt() {
    let pair = pair(masterLast: 200)
    pair.start()
    pair.run { pair.deltaScanned > 60 }
    for _ in 0..<30 {
      pair.write(2)
      pair.turn()
    }
    pair.run { pair.isSettled }
    #expect(pair.deltasInstalled == 1)
    pair.expectSameState()
  }

  @Test func anEmptySlaveAndOneThatMissedNothing() {
    let empty = pair(slave: 0)
    empty.start()
    empty.run { empty.isSettled }
    #expect(empty.lastReport?.mode == .delta && empty.facts.lineage == empty.lineage && empty.ownLog.count == 7)
    empty.expectSameState()
    let same = pair(slave: 60)
    same.start()
    same.run { same.isSettled }
    #expect(same.lastReport?.mode == .delta && same.deltasInstalled == 1 && same.deltaBytesSent == 0)
    same.expectSameState()
  }

  @Test func theOldDataIsServedUntilTheWholeDeltaIsHere() {
    let pair = pair()
    pair.start()
    var turns = 0
    while pair.deltasInstalled == 0, turns < 2000 {
      #expect(pair.ownLog.count == 12 && pair.facts.appliedLSN == LSN(12))
      pair.turn()
      turns += 1
    }
    #expect(pair.deltasInstalled == 1 && pair.facts.appliedLSN == LSN(60))
  }

  /// The link is cut before every single turn, the master writes on: it always gets there, and by one installation.
  @Test func aDeltaCutAnywhereBeginsAgain() {
    var length = 0
    do {
      let pair = pair()
      pair.start()
      while !pair.isSettled, length < 2000 {
        pair.turn()
        length += 1
      }
    }
    #expect(length > 20 && length < 2000)
    for cutAt in 0..<length {
      let pair = pair()
      pair.start()
      for _ in 0..<cutAt { pair.turn() }
      pair.cut()
      #expect(pair.stagedDelta == nil, "cut at \(cutAt)")
      #expect(pair.deltasInstalled == 1 || pair.ownLog.count == 12, "cut at \(cutAt)")
      pair.write(3)
      pair.run { pair.isSettled }
      pair.expectSameState()
    }
  }

  @Test func everyFrameOfADeltaThatIsLostOrDamagedIsNoticed() {
    for wanted in 0..<12 {
      for isLost in [true, false] {
        let pair = pair()
        pair.start()
        var seen = 0
        var isDone = false
        pair.run {
          if isDone { return pair.isSettled }
          guard case .toSlave(var bytes)? = pair.messages.first, pair.work.isEmpty else { return pair.isSettled }
          guard bytes[8] == FrameType.delta.rawValue || bytes[8] == FrameType.deltaEnd.rawValue else { return false }
          seen += 1
          guard seen == wanted + 1 else { return false }
          isDone = true
          if isLost {
            pair.messages.removeFirst()
            // Were it the end: what follows it gives the loss away.
            pair.write(1)
          } else {
            bytes[70] ^= 1
            pair.messages[0] = .toSlave(bytes)
          }
          return false
        }
        pair.expectSameState()
        #expect(isDone == !pair.errors.isEmpty, "frame \(wanted)")
        #expect(isDone || wanted > 2)
      }
    }
  }

  @Test func withoutItsTombstonesASlaveGetsAFullSync() {
    let pair = pair(tombstonesFrom: 14)
    pair.facts.mode = .auto
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .full && pair.deltasInstalled == 0 && pair.swaps == 1)
  }

  @Test func aSlaveWithoutTheCapabilityIsNeverOfferedADelta() {
    let pair = pair()
    pair.facts.capabilities.remove(.delta)
    pair.facts.mode = .auto
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .full && pair.deltaBytesSent == 0)
  }
}
