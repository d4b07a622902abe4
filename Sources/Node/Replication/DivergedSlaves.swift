import Core
import Logging
import Replication
import Synchronization

// Slaves whose log went another way than this master's.
extension ReplicationService {
  /// What the slave gives up because this node does not have it.
  func noteCut(_ planned: Planned, at address: NodeAddress?) {
    let report = planned.report
    let last = planned.input.slavePosition.lsn
    guard report.isDiverged, last > report.commonLSN else { return }
    let records = last.value - report.commonLSN.value
    recordsCutOnSlaves.add(records, ordering: .relaxed)
    logger.error(
      "A SLAVE GIVES UP RECORDS that this node does not have",
      metadata: [
        "replication.slave.id": "\(planned.input.slaveID)",
        "replication.slave.address": "\(address.map { "\($0)" } ?? "unknown")",
        "lost.records": "\(records)", "lost.first.lsn": "\(report.commonLSN.next)", "lost.last.lsn": "\(last)",
        "sync.plan": "\(report.summary)",
      ])
  }

  /// Slaves that were refused because they hold committed records that this node does not.
  package var divergedSlaves: [NodeAddress] {
    slaves.filter { $0.plan?.refusal?.code == .diverged && !$0.state.isStreaming }.map(\.address)
  }
}
