import Core
import Testing

@testable import Replication

@Suite struct PlannerTests {
  /// A master at LSN 1000 of terms 1 (from 1) and 2 (from 500), its log raw from LSN 600, files up to LSN 900.
  static func input(_ change: (inout PlannerInput) -> Void = { _ in }) -> PlannerInput {
    var input = PlannerInput(
      masterLineage: node(9),
      manifest: FileManifest(
        snapshot: SnapshotID(7),
        files: [
          .init(number: 1, kind: .data, bytes: 60_000_000, firstLSN: LSN(1), lastLSN: LSN(500)),
          .init(number: 2, kind: .segment, bytes: 40_000_000, firstLSN: LSN(501), lastLSN: LSN(900)),
        ]))
    input.masterLast = LSN(1000)
    input.masterHistory = terms((1, 1), (2, 500))
    input.logRawFrom = LSN(600)
    input.logBytesAfterFiles = 1_000_000
    input.logBytesAfterCommon = 1_000_000
    input.slavePosition = position(2, 900)
    input.slaveHistory = terms((1, 1), (2, 500))
    input.slaveLineage = node(9)
    input.isDeltaNegotiated = true
    input.rates = MeasuredRates(
      diskReadBytes: 100_000_000, networkBytes: 100_000_000, applyRecords: 1_000_000, applyBytes: 100_000_000,
      fileLoadBytes: 1_000_000_000)
    change(&input)
    return input
  }

  struct Case: Sendable, CustomTestStringConvertible {
    let name: String
    let choice: SyncMode?
    let start: UInt64
    let reason: String
    let change: @Sendable (inout PlannerInput) -> Void
    var testDescription: String { name }
  }

  /// At LSN 800 of term 2, where the master went on with term 3 from LSN 701; it can go back to LSN 600.
  static func oldMaster(_ input: inout PlannerInput) {
    input.slavePosition = position(2, 800)
    input.masterHistory = terms((1, 1), (2, 500), (3, 701))
    input.isRewindNegotiated = true
    input.slaveRewindFloor = LSN(600)
  }

  static let cases: [Case] = [
    Case(name: "short absence", choice: .partial, start: 901, reason: "is there and costs the least") { _ in },
    Case(name: "nothing missed", choice: .partial, start: 1001, reason: "costs the least") {
      $0.slavePosition = position(2, 1000)
      $0.logBytesAfterCommon = 0
    },
    Case(
      name: "log compacted away", choice: .full, start: 901,
      reason: "complete from LSN 600 on, the slave needs it from 551"
    ) {
      $0.slavePosition = position(2, 550)
    },
    Case(name: "exactly the first raw LSN", choice: .partial, start: 600, reason: "costs the least") {
      $0.slavePosition = position(2, 599)
    },
    Case(name: "empty slave", choice: .full, start: 901, reason: "empty") {
      $0.slavePosition = .none
      $0.slaveHistory = TermHistory()
      $0.slaveLineage = nil
    },
    Case(
      name: "empty slave, whole log there and shorter than the files", choice: .partial, start: 1,
      reason: "costs the least"
    ) {
      $0.slavePosition = .none
      $0.slaveHistory = TermHistory()
      $0.slaveLineage = nil
      $0.logRawFrom = LSN(1)
    },
    Case(name: "both empty", choice: .partial, start: 1, reason: "costs the least") {
      $0 = PlannerInput(masterLineage: node(9))
    },
    Case(name: "another data set with equal terms", choice: .full, start: 901, reason: "another data set") {
      $0.slaveLineage = node(8)
    },
    Case(name: "no common record", choice: .full, start: 901, reason: "no record in common") {
      $0.slavePosition = position(7, 900)
      $0.slaveHistory = terms((7, 1))
    },
    Case(
      name: "slave ahead of the master", choice: nil, start: 1001,
      reason: "ends at LSN 1000 and the slave holds 50 records more of the same: this node must get them first"
    ) {
      $0.slavePosition = position(2, 1050)
    },
    Case(
      name: "old master with a tail of its own", choice: .full, start: 901, reason: "at LSN 499 and holds 201 records"
    ) {
      $0.slavePosition = position(1, 700)
      $0.slaveHistory = terms((1, 1))
    },
    Case(
      name: "old master whose tail can be cut", choice: .partial, start: 701,
      reason: "left the master's at LSN 700: it cuts 100 records and goes on from there with the log."
    ) { Self.oldMaster(&$0) },
    Case(name: "the cut is exactly at the floor", choice: .partial, start: 701, reason: "it cuts 100 records") {
      Self.oldMaster(&$0)
      $0.slaveRewindFloor = LSN(700)
    },
    Case(
      name: "the cut is below the floor", choice: .full, start: 901,
      reason: "holds 100 records that the master does not; it can cut its log back to LSN 701 at the earliest."
    ) {
      Self.oldMaster(&$0)
      $0.slaveRewindFloor = LSN(701)
    },
    Case(name: "it does not offer a cut", choice: .full, start: 901, reason: "it does not offer to cut its log") {
      Self.oldMaster(&$0)
      $0.slaveRewindFloor = nil
    },
    Case(name: "its version knows no cut", choice: .full, start: 901, reason: "its version cannot cut its log") {
      Self.oldMaster(&$0)
      $0.isRewindNegotiated = false
    },
    Case(
      name: "a cut, but the log from there is gone", choice: .full, start: 901,
      reason: "It could cut them, but a partial sync is not possible: the log is complete from LSN 750"
    ) {
      Self.oldMaster(&$0)
      $0.logRawFrom = LSN(750)
    },
    Case(
      name: "a cut and a delta", choice: .delta, start: 701,
      reason: "it cuts 100 records and goes on from there with the live records since."
    ) {
      Self.oldMaster(&$0)
      $0.logRawFrom = LSN(750)
      $0.delta = .init(liveBytes: 1, liveRecords: 1, tombstonesFrom: LSN(1))
    },
    Case(name: "a cut costs more than the files", choice: .partial, start: 701, reason: "it cuts 100 records") {
      Self.oldMaster(&$0)
      $0.logBytesAfterCommon = 10_000_000_000
    },
    Case(name: "a full sync is asked for instead of a cut", choice: .full, start: 901, reason: "set to full") {
      Self.oldMaster(&$0)
      $0.mode = .full
    },
    Case(name: "a cut where partial is asked for", choice: .partial, start: 701, reason: "The slave's log left") {
      Self.oldMaster(&$0)
      $0.mode = .partial
    },
    Case(
      name: "slave ahead of the master in the same term, rewind offered", choice: nil, start: 1001,
      reason: "this node must get them first"
    ) {
      $0.slavePosition = position(2, 1050)
      $0.logBytesAfterCommon = 0
      $0.isRewindNegotiated = true
      $0.slaveRewindFloor = LSN(1000)
    },
    Case(
      name: "slave ahead of the master in the same term, rewind offered and data loss accepted", choice: nil,
      start: 1001, reason: "this node must get them first"
    ) {
      $0.slavePosition = position(2, 1050)
      $0.slaveAcceptsCut = true
      $0.logBytesAfterCommon = 0
      $0.isRewindNegotiated = true
      $0.slaveRewindFloor = LSN(1000)
    },
    Case(
      name: "old master whose tail can be cut, by a node that hears no master", choice: nil, start: 701,
      reason: "hears no master itself"
    ) {
      Self.oldMaster(&$0)
      $0.hearsMaster = false
    },
    Case(
      name: "short absence from a node that hears no master", choice: .partial, start: 901, reason: "costs the least"
    ) {
      $0.hearsMaster = false
    },
    Case(
      name: "replay costs more than files", choice: .full, start: 901,
      reason: "take less time than the log since LSN 700"
    ) {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 10_000_000_000
    },
    Case(name: "replay costs a little more than files", choice: .partial, start: 701, reason: "costs the least") {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 125_000_000
    },
    Case(name: "delta cheapest", choice: .delta, start: 701, reason: "live records since LSN 700") {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 50_000_000
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "a delta whose end would wait for the slave", choice: .partial, start: 701, reason: "costs the least") {
      $0.slavePosition = position(2, 700)
      $0.masterCommitted = LSN(699)
      $0.logBytesAfterCommon = 50_000_000
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "delta where the log is gone", choice: .delta, start: 551, reason: "live records") {
      $0.slavePosition = position(2, 550)
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "delta, but tombstones are gone", choice: .full, start: 901, reason: "partial sync is not possible") {
      $0.slavePosition = position(2, 550)
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(600))
    },
    Case(name: "delta saves a little less than a tenth", choice: .partial, start: 701, reason: "costs the least") {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 50_000_000
      $0.delta = .init(liveBytes: 46_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "delta saves a little more than a tenth", choice: .delta, start: 701, reason: "the log has 50.0 MB") {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 50_000_000
      $0.delta = .init(liveBytes: 40_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "delta of a fraction of the bytes, a moment later", choice: .delta, start: 701, reason: "cost the least")
    {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 2_000_000
      $0.delta = .init(liveBytes: 10_000, liveRecords: 10, tombstonesFrom: LSN(100))
    },
    Case(name: "delta with a large index to clone", choice: .partial, start: 701, reason: "costs the least") {
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 50_000_000
      $0.delta = .init(liveBytes: 10_000_000, liveRecords: 10, tombstonesFrom: LSN(100), indexBytes: 4_000_000_000)
    },
    Case(name: "tombstones kept from exactly the slave's next LSN", choice: .delta, start: 551, reason: "not possible")
    {
      $0.slavePosition = position(2, 550)
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(551))
    },
    Case(
      name: "one tombstone too few", choice: .full, start: 901,
      reason: "A delta is not possible: deletions before LSN 552 are forgotten, the slave is at 550."
    ) {
      $0.slavePosition = position(2, 550)
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(552))
    },
    Case(
      name: "delta dearer than the files", choice: .full, start: 901, reason: "take less time than a delta since LSN"
    ) {
      $0.slavePosition = position(2, 550)
      $0.delta = .init(liveBytes: 200_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(name: "delta for a slave that cannot", choice: .full, start: 901, reason: "partial sync is not possible") {
      $0.slavePosition = position(2, 550)
      $0.isDeltaNegotiated = false
      $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(name: "delta and another data set", choice: .full, start: 901, reason: "another data set") {
      $0.slaveLineage = node(8)
      $0.delta = .init(liveBytes: 1, liveRecords: 1, tombstonesFrom: LSN(1))
    },
    Case(
      name: "empty slave, all tombstones there", choice: .full, start: 901,
      reason: "need no filtering and cost little more than a delta since LSN 0 (100.0 MB, 1.1 s)"
    ) {
      $0.slavePosition = .none
      $0.slaveHistory = TermHistory()
      $0.slaveLineage = nil
      $0.delta = .init(liveBytes: 100_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(
      name: "empty slave, few live records in many files", choice: .delta, start: 1, reason: "live records since LSN 0"
    ) {
      $0.slavePosition = .none
      $0.slaveHistory = TermHistory()
      $0.slaveLineage = nil
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(name: "empty slave, some tombstones gone", choice: .full, start: 901, reason: "the slave is empty") {
      $0.slavePosition = .none
      $0.slaveHistory = TermHistory()
      $0.slaveLineage = nil
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(2))
    },
    Case(name: "forced delta, although partial costs less", choice: .delta, start: 901, reason: "set to delta") {
      $0.mode = .delta
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(2))
    },
    Case(
      name: "forced delta for a slave that cannot", choice: nil, start: 901, reason: "the slave's version has no delta"
    ) {
      $0.mode = .delta
      $0.isDeltaNegotiated = false
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(2))
    },
    Case(
      name: "a delta to a slave that a commit waits for", choice: nil, start: 901, reason: "is not committed yet"
    ) {
      $0.mode = .delta
      $0.masterCommitted = LSN(880)
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(name: "forced delta, other data set", choice: nil, start: 1, reason: "another data set") {
      $0.mode = .delta
      $0.slaveLineage = node(8)
      $0.delta = .init(liveBytes: 5_000_000, liveRecords: 10, tombstonesFrom: LSN(1))
    },
    Case(name: "cut full sync, resumed", choice: .full, start: 901, reason: "not possible") {
      $0.slavePosition = position(2, 550)
      $0.resume = ResumeState(snapshot: SnapshotID(7), files: [.init(number: 1, bytes: 60_000_000)])
    },
    Case(name: "cut full sync with staged log", choice: .full, start: 951, reason: "not possible") {
      $0.slavePosition = position(2, 550)
      $0.resume = ResumeState(
        snapshot: SnapshotID(7), stagedLSN: LSN(950),
        files: [.init(number: 1, bytes: 60_000_000), .init(number: 2, bytes: 40_000_000)])
    },
    Case(name: "staged log without all files", choice: .full, start: 901, reason: "not possible") {
      $0.slavePosition = position(2, 550)
      $0.resume = ResumeState(
        snapshot: SnapshotID(7), stagedLSN: LSN(950), files: [.init(number: 1, bytes: 60_000_000)])
    },
    Case(name: "staged log that the log does not follow any more", choice: .full, start: 901, reason: "not possible") {
      $0.slavePosition = position(2, 550)
      $0.logRawFrom = LSN(960)
      $0.resume = ResumeState(
        snapshot: SnapshotID(7), stagedLSN: LSN(950),
        files: [.init(number: 1, bytes: 60_000_000), .init(number: 2, bytes: 40_000_000)])
    },
    Case(name: "staged log that is not committed", choice: .full, start: 901, reason: "not possible") {
      $0.slavePosition = position(2, 550)
      $0.masterCommitted = LSN(940)
      $0.resume = ResumeState(
        snapshot: SnapshotID(7), stagedLSN: LSN(950),
        files: [.init(number: 1, bytes: 60_000_000), .init(number: 2, bytes: 40_000_000)])
    },
    Case(name: "forced full", choice: .full, start: 901, reason: "set to full") { $0.mode = .full },
    Case(name: "full, what was behind the files was dropped", choice: .full, start: 951, reason: "set to full") {
      $0.mode = .full
      $0.logRawFrom = LSN(951)
      $0.logAfterFilesFrom = LSN(951)
    },
    Case(name: "forced partial", choice: .partial, start: 701, reason: "set to partial") {
      $0.mode = .partial
      $0.slavePosition = position(2, 700)
      $0.logBytesAfterCommon = 10_000_000_000
    },
    Case(
      name: "forced partial, log gone", choice: nil, start: 551,
      reason: "partial sync is asked for, but the log is complete from"
    ) {
      $0.mode = .partial
      $0.slavePosition = position(2, 550)
    },
    Case(name: "forced partial, other data set", choice: nil, start: 1, reason: "another data set") {
      $0.mode = .partial
      $0.slaveLineage = node(3)
    },
    Case(
      name: "forced delta", choice: nil, start: 901, reason: "delta sync is asked for, but this version has no delta"
    ) {
      $0.mode = .delta
    },
  ]

  @Test(arguments: cases) func theChoice(_ row: Case) {
    let report = SyncPlanner.plan(Self.input(row.change))
    #expect(report.mode == row.choice)
    #expect(report.startLSN == LSN(row.start))
    #expect(report.reason.contains(row.reason), "\(report.reason)")
    #expect(
      report.rewindTo
        == (row.reason.contains("cuts") || row.reason.contains("log left") ? report.startLSN.previous : nil))
    #expect(report.reply?.rewindTo == report.rewindTo)
    #expect(report.alternatives.map(\.mode) == [.partial, .delta, .full])
    #expect(report.barrierLSN >= report.startLSN.previous)
    switch report.choice {
    case .sync: #expect(report.reply != nil)
    case .refused(let error): #expect(error.code == .syncImpossible && report.reply == nil)
    }
  }

  @Test func theReportExplainsItself() {
    let report = SyncPlanner.plan(Self.input())
    #expect(
      report.lines == [
        "partial: 1.0 MB, 100 records, 0.1 s", "delta: not available: this version has no delta sync",
        "full: 101.0 MB, 100 records, 1.2 s",
        "choice: partial, because the log from the slave's LSN 900 is there and costs the least.",
        "last common LSN 900, start LSN 901, barrier LSN 1000",
      ])
    #expect(report.summary.hasPrefix("partial sync from LSN 901, barrier 1000, 1.0 MB, 0.1 s: "))
  }

  @Test func aDeltaExplainsItself() {
    let report = SyncPlanner.plan(
      Self.input {
        $0.slavePosition = position(2, 700)
        $0.logBytesAfterCommon = 50_000_000
        $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(100))
      })
    #expect(
      report.lines == [
        "partial: 50.0 MB, 300 records, 0.6 s", "delta: 1.0 MB, 10 records, 0.1 s",
        "full: 101.0 MB, 100 records, 1.2 s",
        "choice: delta, because the live records since LSN 700 (1.0 MB) cost the least; the log has 50.0 MB.",
        "last common LSN 700, start LSN 701, barrier LSN 1000 or later",
      ])
    let reply = report.reply
    #expect(reply?.fileCount == 0 && reply?.snapshot == SnapshotID.none && reply?.logBytes == 1_000_000)
    let without = SyncPlanner.plan(
      Self.input {
        $0.slavePosition = position(2, 550)
        $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(600))
      })
    #expect(
      without.lines[1] == "delta: not possible: deletions before LSN 600 are forgotten, the slave is at 550")
    #expect(
      without.reason
        == "a partial sync is not possible: the log is complete from LSN 600 on, the slave needs it from 551."
        + " A delta is not possible: deletions before LSN 600 are forgotten, the slave is at 550.")
    let old = SyncPlanner.plan(
      Self.input {
        $0.isDeltaNegotiated = false
        $0.delta = .init(liveBytes: 1_000_000, liveRecords: 10, tombstonesFrom: LSN(600))
      })
    #expect(old.lines[1] == "delta: not available: the slave's version has no delta sync")
  }

  @Test func bytesThatAreThereAreNotPaidAgain() {
    let whole = SyncPlanner.plan(Self.input { $0.mode = .full })
    let cut = SyncPlanner.plan(
      Self.input {
        $0.mode = .full
        $0.resume = ResumeState(
          snapshot: SnapshotID(7), files: [.init(number: 1, bytes: 60_000_000), .init(number: 2, bytes: 30_000_000)])
      })
    #expect(cut.heldBytes == 90_000_000)
    let saved = (whole.chosenCost?.bytes ?? 0) - (cut.chosenCost?.bytes ?? 0)
    #expect(saved >= 90_000_000 && saved <= 90_000_000 + 90 * 8 * 64)
    #expect(cut.lines.last == "resumes snapshot 0000000000000007: 90.0 MB of 100.0 MB are there")
  }

  @Test func writesMeanwhileMakeASyncLongerOrEndless() {
    let idle = SyncPlanner.plan(Self.input { $0.mode = .full })
    let busy = SyncPlanner.plan(
      Self.input {
        $0.mode = .full
        $0.expectedBytesPerSecond = 50_000_000
      })
    let drowned = SyncPlanner.plan(
      Self.input {
        $0.mode = .full
        $0.expectedRecordsPerSecond = 2_000_000
      })
    #expect((busy.chosenCost?.seconds ?? 0) > 1.9 * (idle.chosenCost?.seconds ?? 0))
    #expect(drowned.chosenCost != nil && drowned.chosenCost?.seconds == nil)
    #expect(drowned.summary.contains("no end in sight"))
  }

  @Test func aRateLimitIsPartOfTheTime() {
    let report = SyncPlanner.plan(
      Self.input {
        $0.mode = .full
        $0.syncRateBytesMax = 1_000_000
      })
    #expect((report.chosenCost?.seconds ?? 0) > 100)
  }

  @Test func theBarrierIsWhatIsCommitted() {
    #expect(SyncPlanner.plan(Self.input { $0.masterCommitted = LSN(990) }).barrierLSN == LSN(990))
    #expect(SyncPlanner.plan(Self.input { $0.masterCommitted = LSN(2000) }).barrierLSN == LSN(1000))
    #expect(SyncPlanner.plan(Self.input { $0.masterCommitted = LSN(10) }).barrierLSN == LSN(900))
  }

  /// Positions come from a slave: whatever it claims, there is a plan or a refusal that says why, and no trap.
  @Test(arguments: [false, true]) func absurdPositionsGiveAPlan(acceptsCut: Bool) {
    for lsn: UInt64 in [UInt64.max, UInt64.max - 1, UInt64(1) << 63, 1001] as [UInt64] {
      for history in [terms((1, 1), (2, 500)), terms((.max, .max)), TermHistory(), terms((2, 500))] {
        let report = SyncPlanner.plan(
          Self.input {
            $0.slavePosition = position(2, lsn)
            $0.slaveHistory = history
            $0.slaveAcceptsCut = acceptsCut
            $0.isRewindNegotiated = lsn % 2 == 0
            $0.slaveRewindFloor = LSN(1)
            $0.logBytesAfterCommon = .max
            $0.logBytesAfterFiles = .max
            $0.expectedBytesPerSecond = .max
            $0.delta = .init(liveBytes: .max, liveRecords: .max, tombstonesFrom: LSN(1), indexBytes: .max)
            $0.resume = ResumeState(
              snapshot: SnapshotID(7), stagedLSN: LSN(.max), files: [.init(number: 1, bytes: .max)])
          })
        // Only where this node's log is the beginning of what is claimed nothing is sent.
        let isRefused = report.refusal?.code == .syncImpossible && report.startLSN == LSN(1001)
        #expect(report.mode != nil || isRefused)
        #expect(!report.lines.isEmpty)
      }
    }
  }
}
