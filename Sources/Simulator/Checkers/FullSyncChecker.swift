import Core
import Replication

/// A full sync is planned only where a rule of the planner says so, judged by what the two nodes really hold.
package enum FullSyncChecker {
  /// What is so, whatever the nodes tell each other.
  package struct Truth {
    package var slaveLast = LSN.none
    package var slaveHistory = TermHistory()
    package var slaveLineage: NodeID?
    /// The slave holds nothing but the beginnings of terms.
    package var isSlaveEmpty = false
    package var slaveRewindFloor = LSN.none
    package var masterLast = LSN.none
    package var masterCommitted = LSN.none
    package var masterHistory = TermHistory()
    package var masterLineage: NodeID?
    package var logRawFrom = LSN(1)
    package var tombstonesFrom = LSN(1)
    /// `--sync-mode full` on either side.
    package var isForced = false
    package init() {}
  }

  /// Which rule it goes by; nil: none does.
  package enum Rule: String, CaseIterable, Sendable {
    case forced, otherLineage, emptyAndLogGone, nothingInCommon, cannotRewind, logAndTombstonesGone, resumed, cheaper
  }

  package static func rule(for report: PlanReport, _ truth: Truth) -> Rule? {
    if truth.isForced { return .forced }
    if !truth.isSlaveEmpty, truth.slaveLineage != truth.masterLineage { return .otherLineage }
    let common = truth.isSlaveEmpty ? .none : lastCommon(truth)
    if !truth.isSlaveEmpty {
      if common == .none { return .nothingInCommon }
      if truth.slaveLast > common, common < truth.slaveRewindFloor { return .cannotRewind }
    }
    let isPartialPossible = truth.logRawFrom <= common.next
    // The end of a delta must be committed.
    let isDeltaPossible = truth.tombstonesFrom <= common.next && truth.masterCommitted >= common
    if !isPartialPossible, !isDeltaPossible { return truth.isSlaveEmpty ? .emptyAndLogGone : .logAndTombstonesGone }
    // An empty slave has nothing to hold twice, and files need no filtering.
    let factor = truth.isSlaveEmpty && !isPartialPossible ? 0.8 : 1
    return byFigures(report, partial: isPartialPossible, delta: isDeltaPossible, factor)
  }

  /// The last LSN at which both logs have the same reign; record by record, from the end.
  private static func lastCommon(_ truth: Truth) -> LSN {
    var lsn = min(truth.slaveLast, truth.masterLast)
    while lsn > .none, truth.slaveHistory.reign(of: lsn) != truth.masterHistory.reign(of: lsn) { lsn = lsn.previous }
    return lsn
  }

  /// Another way was open: then its own figures must have spoken for the files.
  private static func byFigures(_ report: PlanReport, partial: Bool, delta: Bool, _ factor: Double) -> Rule? {
    func cost(_ mode: SyncMode) -> SyncAlternative.Cost? { report.alternatives.first { $0.mode == mode }?.cost }
    guard let full = cost(.full) else { return nil }
    // What is possible must have been looked at.
    let others = [partial ? cost(.partial) : nil, delta ? cost(.delta) : nil].compactMap { $0 }
    guard !others.isEmpty else { return nil }
    if report.heldBytes > 0, others.contains(where: { full.bytes <= $0.bytes }) { return .resumed }
    // A tenth of a second is no reason to send files instead of a fraction of their bytes.
    func isWaste(_ other: SyncAlternative.Cost) -> Bool {
      let isSoonEnough =
        switch (full.seconds, other.seconds) {
        case (let full?, let other?): full < other - 0.1
        case (nil, nil): full.idleSeconds < other.idleSeconds - 0.1
        case (let full, nil): full != nil
        case (nil, _): false
        }
      return !isSoonEnough && full.bytes > 2 * other.bytes + 32_768
    }
    guard !others.contains(where: isWaste) else { return nil }
    guard let time = full.seconds else { return others.allSatisfy { $0.seconds == nil } ? .cheaper : nil }
    return others.allSatisfy { time * factor < $0.seconds ?? .infinity } ? .cheaper : nil
  }
}
