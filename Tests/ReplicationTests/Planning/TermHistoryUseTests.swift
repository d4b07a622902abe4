import Core
import Testing

@testable import Replication

@Suite struct TermHistoryUseTests {
  @Test(
    arguments: [
      // own end, other's history, other's end, common
      (100, [(1, 1), (2, 50)], 80, 80), (100, [(1, 1), (2, 50)], 200, 100), (100, [(1, 1)], 80, 49),
      (100, [(1, 1)], 30, 30),
      (100, [(1, 1), (3, 40)], 90, 39), (100, [(1, 1), (2, 50), (3, 60)], 90, 59), (100, [(5, 1)], 90, 0),
      (100, [], 0, 0),
    ] as [(UInt64, [(UInt32, UInt64)], UInt64, UInt64)])
  func theLastCommonRecord(own: UInt64, other: [(UInt32, UInt64)], otherEnd: UInt64, common: UInt64) {
    var entries: [TermHistory.Entry] = []
    for (term, lsn) in other { entries.append(TermHistory.Entry(reign(term), firstLSN: LSN(lsn))) }
    let history = TermHistory(entries)!
    let found = SyncPlanner.commonLSN(
      slavePosition: position(1, otherEnd), slaveHistory: history, slaveLineage: node(1), masterLast: LSN(own),
      masterHistory: terms((1, 1), (2, 50)), masterLineage: node(1))
    #expect(found == LSN(common))
  }
}
