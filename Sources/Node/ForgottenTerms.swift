import Core
import LogStore
import Logging
import Replication

// A node that was brought to the end of all terms, by a liar or by an older version that believed every number, can begin no
// reign any more. Its operator starts it once with --forget-terms-above N: its vote in a later term is taken back, and what
// its log holds of later terms is cut off into a lost file. That is an order, because a vote that is taken back may have
// counted, and records that are cut may have been acknowledged.
extension NodeCore {
  var noTermLeft: String {
    "no term is left after term \(knownTerm): this node was brought there by a message that no node of its row sends. Start "
      + "it once with --forget-terms-above and the newest term of the row, which the other nodes name in INFO (term)"
  }

  /// Before the node takes its role.
  func forgetTerms(above limit: Term) throws {
    try cutTerms(above: limit)
    let current = directory.current
    guard current.vote.term > limit || current.refetchTo?.term ?? .none > limit else { return }
    try directory.change {
      if $0.vote.term > limit { $0.vote = .init(term: $0.terms.last?.term ?? .none, candidate: nil) }
      if let ceiling = $0.voteCeiling { $0.voteCeiling = min(ceiling, limit) }
      if let wanted = $0.refetchTo, wanted.term > limit { $0.refetchTo = nil }
    }
    // A start takes the newest vote of all generations.
    try directory.forgetGenerations { $0.vote.term > limit }
    logger.error(
      "VOTES WERE TAKEN BACK by --forget-terms-above",
      metadata: ["replication.term.forgotten": "\(current.vote.term)", "replication.term": "\(knownTerm)"])
  }

  private func cutTerms(above limit: Term) throws {
    let store = self.store
    let first = store.withWriteLock { _ in store.terms.entries.first { $0.term > limit }?.firstLSN }
    guard let first else { return }
    guard first > LSN(1) else {
      throw OpenError(
        "all of the log is of terms above \(limit): nothing would be left of it. Start this node with an empty directory"
      )
    }
    commitNow()
    let (fresh, report) = try maintaining.withLock { _ in
      try host.betweenCommits {
        try directory.rewind(
          to: first.previous, store: store, configuration: configuration.store, workers: host.cores, run: host.parallel)
      }
    }
    if fresh !== store {
      fresh.withWriteLock { access in fresh.setReplica(true, access) }
      replaceStore(with: fresh, keepingFilesOfOld: true)
    }
    lostRecords.add(report.lost.records, ordering: .relaxed)
    rewinds.add(1, ordering: .relaxed)
    noteLostFiles()
    logger.error(
      "THE LOG WAS CUT BACK by --forget-terms-above",
      metadata: [
        "rewind.lsn": "\(report.lastLSN)", "lost.records": "\(report.lost.records)", "lost.file": "\(report.lost.file)",
      ])
  }
}
