import Core
import LogStore
import Node
import Replication

// Looks at plans from above: what the two nodes really hold.
extension Simulation {
  /// In the same step in which it was planned.
  func checkFullSync(_ planned: ReplicationService.Planned, from master: SimulatedNode, to id: NodeID) {
    // A slave that died or became another since it asked has no say in it.
    guard let slave = nodes.first(where: { $0.isAlive && $0.life?.core.directory.node == id })?.life else { return }
    var truth = FullSyncChecker.Truth()
    let (own, theirs) = (slave.store, planned.store)
    truth.slaveLast = own.positions.durable
    truth.slaveHistory = own.terms
    truth.slaveLineage = slave.core.directory.lineage
    truth.isSlaveEmpty = !slave.core.hasData(own)
    truth.slaveRewindFloor = own.rewindFloor
    truth.masterLast = planned.input.masterLast
    truth.masterCommitted = min(theirs.positions.committed, truth.masterLast)
    truth.masterHistory = theirs.terms
    truth.masterLineage = planned.input.masterLineage
    truth.logRawFrom = theirs.logStart
    truth.tombstonesFrom = theirs.tombstonesFrom
    truth.isForced = plan.alwaysSyncsFully
    guard let rule = FullSyncChecker.rule(for: planned.report, truth) else {
      return report(
        Violation(
          "full sync without a reason", "node \(master.number) to \(slave.site.number): \(planned.report.summary)"))
    }
    result.fullSyncRules[rule.rawValue, default: 0] += 1
    master.log("full sync by rule: \(rule)")
  }
}
