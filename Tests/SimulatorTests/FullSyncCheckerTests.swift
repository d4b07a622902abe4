import Core
import Replication
import Testing

@testable import Simulator

@Suite struct FullSyncCheckerTests {
  /// An empty slave of a master at LSN 1000 with files up to LSN 900.
  private func rule(
    fileBytes: UInt64, liveBytes: UInt64, indexBytes: UInt64 = 0, logBytes: UInt64, logRawFrom: UInt64 = 1
  ) throws -> FullSyncChecker.Rule? {
    let node = NodeID(random: Array(repeating: 9, count: 20))
    var input = PlannerInput(
      masterLineage: node,
      manifest: FileManifest(
        snapshot: SnapshotID(7),
        files: [.init(number: 1, kind: .segment, bytes: fileBytes, firstLSN: LSN(1), lastLSN: LSN(900))]))
    input.masterHistory = try #require(TermHistory([.init(reign(1), firstLSN: LSN(1))]))
    input.masterLast = LSN(1000)
    input.logRawFrom = LSN(logRawFrom)
    input.logBytesAfterCommon = logBytes
    input.logBytesAfterFiles = min(logBytes, 18_000)
    input.isDeltaNegotiated = true
    input.rates = MeasuredRates(
      diskReadBytes: 100_000_000, networkBytes: 100_000_000, applyRecords: 1_000_000, applyBytes: 100_000_000,
      fileLoadBytes: 1_000_000_000)
    input.delta = .init(liveBytes: liveBytes, liveRecords: 10, tombstonesFrom: LSN(1), indexBytes: indexBytes)
    var truth = FullSyncChecker.Truth()
    truth.isSlaveEmpty = true
    (truth.masterLast, truth.masterCommitted) = (LSN(1000), LSN(1000))
    truth.masterHistory = input.masterHistory
    truth.logRawFrom = input.logRawFrom
    return FullSyncChecker.rule(for: SyncPlanner.plan(input), truth)
  }

  @Test func manyTimesTheBytesForAMomentIsNoReason() throws {
    #expect(try rule(fileBytes: 150_000, liveBytes: 18_000, indexBytes: 30_000_000, logBytes: 168_000) == nil)
    #expect(
      try rule(fileBytes: 150_000, liveBytes: 18_000, indexBytes: 30_000_000, logBytes: 168_000, logRawFrom: 600) == nil
    )
    // A second is one.
    #expect(
      try rule(
        fileBytes: 150_000, liveBytes: 18_000, indexBytes: 1_000_000_000, logBytes: 168_000, logRawFrom: 600)
        == .cheaper)
  }

  @Test func aDeltaNeedsToBeCheaperByAFifthWhereTheLogIsGone() throws {
    let mostIsAlive = (files: UInt64(100_000_000), live: UInt64(95_000_000))
    #expect(
      try rule(fileBytes: mostIsAlive.files, liveBytes: mostIsAlive.live, logBytes: 105_000_000, logRawFrom: 600)
        == .cheaper)
    #expect(try rule(fileBytes: mostIsAlive.files, liveBytes: mostIsAlive.live, logBytes: 105_000_000) == nil)
  }
}
