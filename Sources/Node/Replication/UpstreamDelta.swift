// Raw memory: hands received records on; none outlives its call.
import Core
import LogStore
import Logging
import Replication

// A delta on the slave's side: staged beside the data while it comes in, installed in one step when all of it is here.
extension UpstreamLink {
  private func stage() throws -> DeltaStage {
    guard let delta else { throw OpenError("no delta is being received") }
    return delta
  }

  func stageDelta(_ first: LSN, _ last: LSN, _ term: Term) throws -> ApplierEvent {
    let stage = try stage()
    var whole = parts
    parts = []
    if whole.isEmpty {
      try stage.append(body, first: first, last: last, term: term)
    } else {
      whole.append(contentsOf: body)
      try whole.withUnsafeBytes { try stage.append($0, first: first, last: last, term: term) }
    }
    return .deltaStaged(StagedDelta(records: stage.records, bytes: stage.bytes, checksum: stage.checksum))
  }

  /// Clients read the old data until the last step, which is one pointer a database. What comes before may take as long
  /// as applying the records does: the master is told that this node is there.
  func installDelta(_ end: DeltaEnd, clock: WallClock) throws -> ApplierEvent {
    let stage = try stage()
    let store = core.store
    let began = core.host.monotonic
    core.followClock(clock)
    try stage.finish(barrier: end.barrierLSN)
    // What the log holds is on disk and its end is sealed, as far as its last unit allows.
    core.commitNow()
    store.withWriteLock { access in
      store.closeLog(access)
      store.wallClock = clock.milliseconds
    }
    let sealed = core.commitNow()
    guard store.writeRefusal == nil, sealed.durable >= stage.after else {
      throw OpenError("the log cannot be written: \(store.writeRefusal.map { "\($0)" } ?? "unknown")")
    }
    core.maintainStore(sealsAll: true)
    let installation = try prepare(stage, end, in: store)
    let prepared = core.host.monotonic
    try core.maintaining.withLock { _ in
      try installation.commit { (describe) throws(FileError) in try core.directory.change(describe) }
    }
    store.withWriteLock { access in store.follow(committed: end.barrierLSN, access) }
    let committed = core.host.monotonic
    delta = nil
    core.applied()
    installation.noteExpiries()
    logger.notice(
      "the delta is in place",
      metadata: [
        "sync.barrier.lsn": "\(end.barrierLSN)", "sync.records": "\(end.records)",
        "sync.prepare.ms": "\(prepared.since(began))", "sync.install.ms": "\(committed.since(prepared))",
      ])
    return .deltaInstalled(barrierLSN: end.barrierLSN)
  }

  private func prepare(_ stage: DeltaStage, _ end: DeltaEnd, in store: LogStore) throws -> DeltaInstallation {
    var toldAt = core.host.monotonic
    while true {
      let prepared = try store.prepare(stage, barrier: end.barrierLSN, terms: end.history) { [self] in
        let now = core.host.monotonic
        guard now.since(toldAt) >= 1000 else { return }
        toldAt = now
        repeatAck()
      }
      if let prepared { return prepared }
      // A compaction is moving index entries: seconds at most.
      core.host.pause(milliseconds: 10)
    }
  }
}
