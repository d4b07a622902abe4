// Raw memory: received records are appended from where they lie.
import Core
import LogStore
import Logging
import Replication

// What the link does to the store: append, apply, swap in, compare.
extension UpstreamLink {
  // MARK: The log

  func append(_ target: LogTarget) throws -> ApplierEvent? {
    switch target {
    case .own:
      let store = core.store
      try appendBody(to: store)
      core.host.wakeCommit()
      return nil
    case .staged:
      let staged = try stagedStore()
      let store = try staged.opened()
      try appendBody(to: store)
      let result = store.commit(flush: true)
      if let refusal = store.writeRefusal { throw LogRefused(refusal: refusal) }
      // What is sealed is shown at a start. The store is swapped in when the barrier is good; what follows may not be.
      _ = store.maintain(neededFrom: .none, sealUpTo: staged.begin.barrierLSN)
      return .durableAdvanced(result.durable)
    }
  }

  private func appendBody(to store: LogStore) throws {
    var whole = parts
    parts = []
    try store.withWriteLock { access throws in
      if whole.isEmpty {
        try store.appendReplicated(body, access)
      } else {
        whole.append(contentsOf: body)
        try whole.withUnsafeBytes { try store.appendReplicated($0, access) }
      }
    }
  }

  func apply(upTo limit: LSN, clock: WallClock) throws -> ApplierEvent? {
    let store = core.store
    core.followClock(clock)
    defer { core.applied() }
    return try store.withWriteLock { access throws in
      store.follow(committed: limit, access)
      store.wallClock = clock.milliseconds
      for lsn in Set([pendingDigest?.lsn, question?.digestLSN].compactMap(\.self)).sorted() where lsn <= limit {
        guard store.positions.applied <= lsn else { continue }
        let reached = try store.apply(upTo: lsn, access)
        if let question, question.digestLSN == lsn, reached == lsn { showDigest(store, access) }
        if let digest = pendingDigest, digest.lsn == lsn {
          pendingDigest = nil
          if reached == lsn { compare(digest, store, access) }
        }
      }
      if let digest = pendingDigest, digest.lsn <= limit { pendingDigest = nil }
      let applied = try store.apply(upTo: limit, access)
      noteFreshness()
      return .appliedAdvanced(applied)
    }
  }

  func noteFreshness() {
    let applied = core.store.positions.applied
    viewBox.withLock { if $0.isInSync, applied >= $0.masterLastLSN { $0.freshAt = $0.lastHeard } }
  }

  // MARK: The swap

  /// - Parameter keepsOld: the old store holds what the new one does not, and is set aside.
  func swapIn(applyUpTo limit: LSN, history: TermHistory, keepsOld: Bool) throws -> ApplierEvent? {
    let staged = try stagedStore()
    let store = try staged.opened()
    let applied = try store.withWriteLock { access throws in
      store.wallClock = core.clock.milliseconds
      store.follow(committed: limit, access)
      return try store.apply(upTo: limit, access)
    }
    let aside = keepsOld ? try core.beginSettingAside() : nil
    let fresh: LogStore
    do { fresh = try staged.commitSwap(history) } catch {
      if let aside { core.directory.abandonSettingAside(aside) }
      throw error
    }
    core.replaceStore(with: fresh, keepingFilesOfOld: aside != nil)
    if let aside { core.finishSettingAside(aside) }
    self.staged = nil
    logger.notice("the new copy is in place", metadata: ["sync.applied.lsn": "\(applied)"])
    return .swappedIn(appliedLSN: applied)
  }

  /// The node whose records these are: of this term no other gets this node's vote.
  private func noteMaster() {
    guard let reign = core.store.newestReign, reign.term > core.directory.current.vote.term, reign.owner != .unknown
    else {
      return
    }
    if let failure = core.succession.persist(Vote(term: reign.term, candidate: reign.owner)) {
      logger.error("the master's term cannot be written down", metadata: ["error": "\(failure)"])
    }
  }

  func inSync(_ lsn: LSN) {
    noteMaster()
    core.note(starts: applier.masterStarts, of: core.directory.lineage)
    let seconds = Double(core.host.monotonic.since(syncStartedAt)) / 1000
    let bytes = syncBytes
    viewBox.withLock {
      $0.lastBytes = bytes
      $0.lastSeconds = seconds
    }
    logger.notice(
      "in sync with the master",
      metadata: ["sync.lsn": "\(lsn)", "sync.wire.bytes": "\(bytes)", "sync.seconds": "\(seconds)"])
    core.host.stateChanged()
  }

  // MARK: Digests

  /// The master's digest at an LSN. If this node is not there yet, it compares when it passes.
  func receive(_ digest: Digest) {
    let store = core.store
    store.withWriteLock { access in
      let applied = store.positions.applied
      if applied == digest.lsn {
        compare(digest, store, access)
      } else if applied < digest.lsn {
        pendingDigest = digest
      }
    }
  }

  private func compare(_ digest: Digest, _ store: LogStore, _ access: borrowing WriteAccess) {
    let own = core.digest(of: store, access)
    switch DigestComparison.compare(own: own, master: digest) {
    case .equal:
      viewBox.withLock {
        $0.digest = "equal"
        $0.digestLSN = digest.lsn
      }
    case .notComparable: break
    case .different(let ranges):
      viewBox.withLock {
        $0.digest = "different"
        $0.digestLSN = digest.lsn
      }
      logger.error(
        "DATA DIFFERS FROM THE MASTER",
        metadata: ["digest.lsn": "\(digest.lsn)", "digest.ranges": "\(ranges)"])
      core.digestRepair.found(ranges, at: digest.lsn, in: store, access)
    }
  }
}
