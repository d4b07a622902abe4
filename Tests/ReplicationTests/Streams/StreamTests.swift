import Core
import Testing

@testable import Replication

/// Relay and applier talk to each other, frame by frame.
@Suite struct StreamTests {
  @Test func anEmptySlaveGetsFilesAndLogAndFollows() {
    let pair = StreamHarness()
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .full && pair.swaps == 1 && pair.errors.isEmpty)
    #expect(pair.ownFiles == pair.files)
    pair.expectEqual(from: 31)
    pair.write(25)
    pair.run { pair.isSettled }
    pair.expectEqual(from: 31)
    #expect(pair.registry.slave(node(1))?.state == .streaming(pair.link))
    #expect(pair.registry.pinnedLSN(now: pair.now) == LSN(86))
  }

  @Test func aSlaveThatWasAwayGetsTheTail() {
    let pair = StreamHarness()
    pair.seedSlave(upTo: 45)
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .partial && pair.swaps == 0 && pair.fileBytesReceived == 0)
    pair.expectEqual(from: 1)
  }

  @Test func aSlaveFromBeforeTheLastTermGetsTheTail() {
    let pair = StreamHarness()
    pair.seedSlave(upTo: 35)
    pair.start()
    pair.run { pair.isSettled }
    #expect(pair.lastReport?.mode == .partial)
    #expect(pair.facts.history == pair.masterHistory)
    pair.expectEqual(from: 1)
  }

  @Test func bothEmptyIsInSyncAtOnceAndAdoptsTheDataSet() {
    let pair = StreamHarness(masterLast: 0, withFiles: false)
    pair.masterHistory = TermHistory()
    pair.start()
    pair.run { pair.applier.isInSync }
    #expect(pair.facts.lineage == pair.lineage && pair.swaps == 0)
    pair.masterHistory = terms((1, 1))
    pair.write(5)
    pair.run { pair.isSettled }
    pair.expectEqual(from: 1)
  }

  @Test func aDivergedSlaveKeepsItsDataUntilTheNewIsWhole() {
    let pair = StreamHarness()
    pair.seedSlave(upTo: 39)
    for lsn in UInt64(40)...70 { pair.ownLog[lsn] = "another record \(lsn)" }
    pair.facts.durableLSN = LSN(70)
    pair.facts.appliedLSN = LSN(70)
    pair.start()
    pair.run { pair.stagedLog.count > 10 }
    #expect(pair.ownLog[70] == "another record 70" && pair.facts.lineage == pair.lineage && pair.swaps == 0)
    pair.run { pair.isSettled }
    #expect(pair.swaps == 1 && pair.lastReport?.isDiverged == true)
    pair.expectEqual(from: 31)
  }

  /// The link is cut before every single turn of a whole full sync; it always gets there, and no file byte is sent
  /// twice but those that were under way.
  @Test func aFullSyncCutAnywhereResumes() {
    var length = 0
    do {
      let pair = StreamHarness()
      pair.start()
      while !pair.isSettled, length < 2000 {
        pair.turn()
        length += 1
      }
    }
    #expect(length > 50 && length < 2000)
    for cutAt in 0..<length {
      let pair = StreamHarness()
      pair.start()
      for _ in 0..<cutAt { pair.turn() }
      pair.cut()
      pair.run { pair.isSettled }
      #expect(pair.ownFiles == pair.files, "cut at \(cutAt)")
      pair.expectEqual(from: 31)
      #expect(pair.swaps == 1, "cut at \(cutAt)")
      #expect(pair.fileBytesReceived <= 247 + 64, "cut at \(cutAt)")
    }
  }

  /// Cut again and again, every n turns, while the master writes on.
  @Test(arguments: [9, 12, 17, 23, 40, 61]) func aSyncCutAgainAndAgainArrives(every: Int) {
    let pair = StreamHarness()
    pair.start()
    for round in 0..<60 {
      for _ in 0..<every { pair.turn() }
      if round % 5 == 0 { pair.write(1) }
      pair.cut()
      pair.run { pair.isUp }
    }
    pair.run { pair.isSettled }
    #expect(pair.ownFiles == pair.files)
    pair.expectEqual(from: 31)
    #expect(pair.swaps == 1)
  }

  @Test func aPartialSyncCutAnywhereResumes() {
    for cutAt in 0..<60 {
      let pair = StreamHarness()
      pair.seedSlave(upTo: 33)
      pair.start()
      for _ in 0..<cutAt { pair.turn() }
      pair.cut()
      pair.write(3)
      pair.run { pair.isSettled }
      pair.expectEqual(from: 1)
      #expect(pair.swaps == 0)
    }
  }

  @Test func filesOfAnotherSnapshotAreDropped() {
    let pair = StreamHarness()
    pair.start()
    pair.run { pair.fileBytesReceived >= 150 }
    pair.cut()
    pair.manifest.snapshot = SnapshotID(2)
    pair.run { pair.isSettled }
    #expect(pair.fileBytesReceived >= 247 + 150 && pair.ownFiles == pair.files)
  }

  @Test func aDamagedFileIsFetchedAgainAndNeverSwappedIn() {
    let pair = StreamHarness()
    pair.start()
    pair.run { pair.stagedFiles[4]?.count == 128 }
    pair.stagedFiles[4]?[3] ^= 1
    pair.run { pair.errors.contains(.fileChecksum) }
    #expect(pair.swaps == 0)
    pair.run { pair.isSettled }
    #expect(pair.ownFiles == pair.files && pair.swaps == 1)
  }

  @Test func aFlippedBitOnTheWireClosesTheLinkAndNothingElse() {
    let pair = StreamHarness()
    pair.seedSlave(upTo: 45)
    pair.start()
    pair.run { pair.messages.contains { if case .toSlave(let bytes) = $0 { bytes[8] == 5 } else { false } } }
    for index in pair.messages.indices {
      if case .toSlave(var bytes) = pair.messages[index], bytes[8] == 5 {
        bytes[70] ^= 4
        pair.messages[index] = .toSlave(bytes)
      }
    }
    pair.run { !pair.errors.isEmpty }
    #expect(pair.errors == [.badFrame] && pair.ownLog.count == 45)
    pair.run { pair.isSettled }
    pair.expectEqual(from: 1)
  }

  @Test func aRefusedRegistrationIsTriedAgainEverMoreSlowly() {
    let pair = StreamHarness(masterLast: 0, withFiles: false)
    pair.masterHistory = TermHistory()
    pair.facts.durableLSN = LSN(5)
    pair.facts.history = terms((1, 1))
    pair.start()
    pair.run(turns: 2000) { pair.errors.count >= 9 }
    #expect(Set(pair.errors) == [.peerRefused])
    #expect(pair.applier.lastError?.message.hasPrefix("DATALOSS") == true)
    #expect(pair.now.since(at(1000)) > 12_000)
  }
}
