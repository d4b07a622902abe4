import Core
import LogStore
import Logging
import Replication

extension UpstreamLink {
  /// Cuts the tail of this node's log that the master's does not have, and keeps it in a file. Readers go over to the
  /// store over what is left; what they were still waiting for is lost with the tail.
  func rewind(to target: LSN) throws -> ApplierEvent {
    let store = core.store
    core.commitNow()
    let (fresh, report) = try core.maintaining.withLock { _ in
      try core.host.betweenCommits {
        try core.directory.rewind(
          to: target, store: store, configuration: core.configuration.store, workers: core.host.cores,
          run: core.host.parallel)
      }
    }
    if fresh !== store {
      fresh.withWriteLock { access in fresh.setReplica(true, access) }
      core.replaceStore(with: fresh, keepingFilesOfOld: true)
    }
    core.lostRecords.add(report.lost.records, ordering: .relaxed)
    core.rewinds.add(1, ordering: .relaxed)
    core.noteLostFiles()
    logger.error(
      "THE LOG WAS CUT BACK: this node held records that the master does not have",
      metadata: [
        "rewind.lsn": "\(report.lastLSN)", "lost.records": "\(report.lost.records)",
        "lost.first.lsn": "\(report.lost.first)",
        "lost.last.lsn": "\(report.lost.last)", "lost.file": "\(report.lost.file)",
      ])
    // The cut is at the end of a unit: from there this node asks anew.
    guard report.lastLSN == target else { return .linkLost("the log was cut back to LSN \(report.lastLSN)") }
    return .rewound(core.localFacts(resume: nil))
  }
}
