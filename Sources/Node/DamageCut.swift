import Core
import LogStore
import Replication

extension DataDirectory {
  /// As `openStore`, but with damage behind the sealed segments nothing is changed: the store that this gives stands for
  /// one that is not open. `cutDamage` opens it, when another node has what is lost here.
  package func openStoreAtStart(configuration: StoreConfiguration, workers: Int, run: ParallelRunner) throws
    -> (store: LogStore, report: RecoveryReport, damage: TailDamage?)
  {
    do {
      let (store, report) = try openStore(configuration: configuration, workers: workers, run: run)
      return (store, report, nil)
    } catch let error as OpenError {
      guard let damage = error.tail ?? sealedDamage(error) else { throw error }
      let store = LogStore.unopened(
        fileSystem: fileSystem, directory: storePath(0), lineage: lineage, configuration: configuration,
        why: error.description)
      return (store, RecoveryReport(), damage)
    }
  }

  /// Sealed files that are missing or damaged, so that no generation can be used: another node may have it all. Nothing here
  /// is the log up to any LSN then.
  private func sealedDamage(_ error: OpenError) -> TailDamage? {
    guard error.isDamage else { return nil }
    let newest = current
    let reached = newest.reach.joined(reachFile.reach(of: newest.era)).reached
    let seen = LogStore.lastReadable(fileSystem, storePath(newest.storeNumber), newest)
    return .sealed(
      in: storePath(newest.storeNumber), error.description, reached: seen.lsn > reached.lsn ? seen : reached)
  }

  /// Cuts the log before damage that a start found in its unsealed part, and opens what is left.
  ///
  /// The order: the files are copied aside as they are; one generation says how far the log had reached, and no older one,
  /// which does not, is left to start from; then the log's files are cut. A crash at any point leaves the damage for the
  /// next start to find, or the log up to the cut; what it had reached before is known from before the first byte goes.
  ///
  /// - Returns: the store over what is left, and the paths of the copies.
  package func cutDamage(_ damage: TailDamage, configuration: StoreConfiguration, workers: Int, run: ParallelRunner)
    throws
    -> (store: LogStore, report: RecoveryReport, copies: [String])
  {
    let before = current
    let copies = try damage.copyFiles(of: storePath(before.storeNumber), to: path, fileSystem)
    add(damagedCopies: copies)
    let number = damage.needsNewStore ? before.storeNumber + 1 : before.storeNumber
    if damage.needsNewStore {
      removeStore(number)
      try fileSystem.makeDirectory(storePath(number))
      try fileSystem.flushDirectory(path)
    }
    try change {
      $0.refetchTo = max($0.refetchTo ?? .none, damage.reached)
      $0.beginEra()
      if damage.needsNewStore {
        $0.beginNewStore(number)
      } else {
        // What a record behind the cut had replaced is alive again.
        for i in $0.segments.indices { $0.segments[i].cleanUpTo = min($0.segments[i].cleanUpTo, damage.cutTo) }
      }
    }
    let written = current.generation
    try forgetGenerations { $0.generation < written }
    let (store, report) = try LogStore.open(
      fileSystem: fileSystem, directory: storePath(number), lineage: lineage, configuration: configuration,
      generation: current, workers: workers, run: run, cutsDamage: true, note: (reachFile, current.era),
      reserve: reserve)
    return (store, report, copies)
  }
}

extension DirectoryFile {
  /// An empty store of the same data set: what is in the old one is not the log up to any LSN.
  fileprivate mutating func beginNewStore(_ number: UInt32) {
    storeNumber = number
    terms = TermHistory()
    segments = []
    logStart = LSN(1)
    tombstonesFrom = LSN(1)
    (rewindFloor, cut) = (.none, nil)
    keys = [:]
    catalogRecord = []
  }
}

// A node that lost records which it may have acknowledged: it must not stand for them before it has them again.
extension NodeCore {
  /// Up to where the log must reach again; nil if the node is whole. Not under the write lock.
  package var refetchTo: Position? {
    guard let wanted = directory.current.refetchTo else { return nil }
    let store = self.store
    return store.withWriteLock { _ in
      let held = durability == .fsync ? store.positions.durable : store.positions.written
      return store.terms.position(at: held).reaches(wanted) ? nil : wanted
    }
  }

  /// Why the node cannot do what only a whole one can.
  func refetching(to wanted: Position) -> String {
    "this node lost records up to \(wanted) by damage and has not got them from another node yet; PROMOTE FORCE makes it "
      + "master without them"
  }

  /// The node is whole again: that is written down.
  func noteRefetched() {
    guard let wanted = directory.current.refetchTo, refetchTo == nil else { return }
    do {
      try directory.change { if $0.refetchTo == wanted { $0.refetchTo = nil } }
      logger.notice(
        "this node holds all again that it held before the damage", metadata: ["log.reached": "\(wanted)"])
    } catch {
      disk.generation(error)
    }
  }

  /// Cuts the log before the damage; every reader goes over to what is left. On the loop of the link to the master.
  func cutDamage(_ damage: TailDamage) throws {
    let (store, report, copies) = try maintaining.withLock { _ in
      try host.betweenCommits {
        try directory.cutDamage(
          damage, configuration: configuration.store, workers: host.cores, run: host.parallel)
      }
    }
    for note in report.notes { logger.warning("\(note)") }
    store.withWriteLock { access in store.setReplica(true, access) }
    replaceStore(with: store, keepingFilesOfOld: true)
    logger.error(
      "THE LOG WAS CUT BEFORE DAMAGE: the records are fetched from another node",
      metadata: [
        "log.damage": "\(damage)", "log.last.lsn": "\(store.positions.appended)", "log.reached": "\(damage.reached)",
        "log.kept.files": "\(copies.joined(separator: ", "))",
      ])
  }
}

extension TailDamage {
  /// A start that found no other node with what is damaged here.
  func refusal(_ why: String) -> OpenError {
    OpenError(
      """
      \(self), and \(why). Nothing was changed. Start this node again when a node that holds the log up to \
      \(reached) answers; or put the file back from a copy; or give up what no other node holds: PROMOTE another \
      node, which this one then follows, or start with an empty directory as a slave of a node that has the data. \
      `paceline inspect` on the file shows what is still readable
      """, isDamage: true, tail: self)
  }
}
