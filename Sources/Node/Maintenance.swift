import Core
import LogStore
import Replication
import Synchronization

extension NodeCore {
  private static let expiredPerRound = 2000

  /// On a master, keys whose time is over are deleted by records in the log; a slave waits for these.
  package func expire() {
    let store = self.store
    guard isMaster else {
      _ = store.withWriteLock { access in
        store.reviewExpiries(now: clock.milliseconds, limit: Self.expiredPerRound, access)
      }
      return
    }
    // Not before its term has begun: what a node appends at its start would carry the term, and perhaps the LSN, of
    // records that slaves have and this disk has lost.
    #if PACELINE_PLANTED_BUGS
      if !PlantedBug.appendBeforeReign.isPlanted, !commitment.isReigning { return }
    #else
      guard commitment.isReigning else { return }
    #endif
    expiryClock.look()
    // A clock that was set back goes back when all is deleted that it has called expired, also what expired within the
    // present second.
    let waited = expiryClock.waitsForDeletion
    var early: [LogStore.EarlyExpiry] = []
    var examined = Self.expiredPerRound
    while examined == Self.expiredPerRound {
      let access = store.writeLock.lock()
      var deleted = 0
      examined = 0
      #if PACELINE_PLANTED_BUGS
        let isOwn = !store.isReplica || PlantedBug.appendBeforeReign.isPlanted
      #else
        let isOwn = !store.isReplica
      #endif
      if isOwn, store.isWritable || store.takesWhatFrees(quarters: 1), !isHandingOver {
        store.setLevel(configuration.commit.level, access)
        if let waited {
          (deleted, examined) = store.expireAll(
            upTo: waited.milliseconds, limit: Self.expiredPerRound, early: &early, access)
        } else {
          (deleted, examined) = store.expireDue(now: clock.milliseconds, limit: Self.expiredPerRound, access)
        }
        if let waited, examined < Self.expiredPerRound, store.isWritable {
          expiryClock.deleted(upTo: waited, by: LSN(store.lastAppended))
        }
      }
      store.writeLock.unlock(access)
      if deleted > 0 {
        expiredKeys.add(UInt64(deleted), ordering: .relaxed)
        host.wakeCommit()
      }
    }
    guard waited != nil else { return }
    store.withWriteLock { access in store.lookAgain(at: early, access) }
    expiryClock.committed(store.positions.committed)
  }

  /// Seals, trims and drops what is due, and names the result in a new generation.
  ///
  /// - Parameter sealsAll: also what is not committed yet.
  package func maintainStore(sealsAll: Bool = false) {
    replication.saveListIfDue()
    noteRefetched()
    if lostFiles.withLock({ !$0.isEmpty }) { noteLostFiles() }
    reviewReplacedStores()
    maintaining.withLock { _ in
      let store = self.store
      guard store.directory == directory.storePath(directory.current.storeNumber) else { return }
      let result = store.maintain(
        neededFrom: neededFrom, rawFrom: rawFrom(store), sealUpTo: sealsAll ? LSN(.max) : store.positions.committed)
      noteReach(store)
      disk.background(result.error)
      if result.segmentsChanged { generationIsDue.store(true, ordering: .relaxed) }
      if generationIsDue.load(ordering: .relaxed) { writeGeneration(store) }
    }
  }

  private static let reachIntervalMilliseconds: UInt64 = 1000

  /// Once a second, while the log goes on.
  private func noteReach(_ store: LogStore) {
    let now = host.monotonic
    let isDue = reachNotedAt.withLock { last in
      guard now.since(last) >= Self.reachIntervalMilliseconds else { return false }
      last = now
      return true
    }
    guard isDue else { return }
    if store.isWritable, !directory.reserve.isWhole { _ = directory.reserve.restore() }
    do throws(FileError) {
      try store.noteReach()
      disk.reach(nil)
    } catch {
      disk.reach(error)
    }
  }

  /// The log stands still, and all of it is on disk: that is written down, in both places that a start compares with.
  package func noteEnd() {
    maintaining.withLock { _ in
      let store = self.store
      guard store.directory == directory.storePath(directory.current.storeNumber), !store.isClosedForGood else {
        return
      }
      do {
        try store.noteReach(isEnd: true)
        let end = store.reach.atEnd
        guard directory.current.reach != end else { return }
        try directory.change {
          store.describe(&$0)
          $0.reach = end
        }
      } catch {
        logger.error("how far the log went cannot be written down", metadata: ["disk.error": "\(error)"])
      }
    }
  }

  func noteLostFiles() {
    let names = directory.lostFiles
    lostFiles.withLock { $0 = names }
  }

  private func writeGeneration(_ store: LogStore) {
    do {
      try directory.change { store.describe(&$0) }
      try store.removeDropped(keptGenerations: directory.keptGenerations)
      lastSave.store(host.wall.milliseconds / 1000, ordering: .relaxed)
      generationIsDue.store(false, ordering: .relaxed)
      disk.generation(nil)
    } catch {
      generationIsDue.store(true, ordering: .relaxed)
      disk.generation(error)
    }
  }

  /// The lowest LSN that a slave with a pin does not hold yet.
  package var neededFrom: LSN { replication.pinnedLSN ?? LSN(.max) }
  /// The log that `--wal-keep` keeps for slaves that are not known yet.
  /// On a full disk none is kept: it is what can be freed.
  package func rawFrom(_ store: LogStore) -> LSN {
    if case .noSpace = store.writeRefusal { return LSN(.max) }
    return store.firstLSN(keeping: configuration.walKeepBytes)
  }

  /// Who may have good copies of damaged records: this node's master, and its slaves, those that follow the stream first.
  package var nodesWithCopies: [NodeAddress] {
    let slaves = replication.slaves
    let below = (slaves.filter { $0.state.isStreaming } + slaves.filter { !$0.state.isStreaming }).map(\.address)
    switch role {
    case .slave(let master): return [master] + below.filter { $0 != master }
    case .master: return below
    }
  }

  /// Puts a compacted file in place and names it in a generation; nil when the store was replaced meanwhile.
  package func install(_ job: CompactionJob, in store: LogStore) throws -> CompactionResult? {
    try thenGeneration(of: store) { try job.install() }
  }

  /// The same for a repaired file; false when the store was replaced meanwhile.
  package func install(_ job: RepairJob, in store: LogStore) throws -> Bool {
    try thenGeneration(of: store) { try job.install() } != nil
  }

  /// The same for a file with restored records.
  package func install(_ job: RestoreJob, in store: LogStore) throws -> Bool {
    try thenGeneration(of: store) { try job.install() } != nil
  }

  /// A generation without a change: files that only older ones name can go.
  package func writeGenerationIfCurrent(_ store: LogStore) { thenGeneration(of: store) {} }

  /// Changes the files of the store and names the result in a generation; nil, and nothing done, when the store was
  /// replaced meanwhile.
  @discardableResult
  private func thenGeneration<Result>(of store: LogStore, _ change: () throws -> Result) rethrows -> Result? {
    try maintaining.withLock { _ in
      guard store === self.store, store.directory == directory.storePath(directory.current.storeNumber) else {
        return nil
      }
      let result = try change()
      writeGeneration(store)
      return result
    }
  }

  /// SAVE and BGSAVE: everything appended is on disk and a new generation names it. Off the clients' loops.
  package func saveGeneration() throws {
    let result = commitNow()
    if let refusal = store.writeRefusal { throw OpenError("the log cannot be written: \(refusal)") }
    guard result.durable >= .none else { return }
    maintaining.withLock { _ in
      _ = store.maintain(
        neededFrom: neededFrom, rawFrom: rawFrom(store), sealUpTo: store.positions.committed)
      writeGeneration(store)
    }
  }
}
