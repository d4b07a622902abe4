import Core
import LogStore

/// What a rewind did.
package struct RewindReport: Sendable {
  /// The log ends here now: at the LSN that was asked for, or at the end of the unit before it.
  package var lastLSN = LSN.none
  /// What was cut, and in which file it is.
  package var lost = LostRecords()
  package var recovery = RecoveryReport()
}

extension DataDirectory {
  /// Cuts the tail of the live store's log that the master's history does not have, keeps it in a readable file, and
  /// opens what is left.
  ///
  /// The order: the cut records are on disk as `lost-<term>-<LSN>.resp`; one generation says where the log ends now, the
  /// moment of the cut; no older generation is left to start from; then the log's files are cut (`RecoveryCut`). A crash
  /// at any point leaves the old log whole or, after the next start, the log up to the cut.
  ///
  /// Nobody else uses the store but readers: no writer, no commit, no maintenance or compaction. If this throws and the
  /// store `isClosedForGood`, the cut may be ordered already: the node must be started again. Otherwise nothing has
  /// changed and the store may be used as before.
  ///
  /// - Parameter lsn: the last common LSN with the new master. The log is cut at the last end of a unit up to there; see
  ///   `LogStore.rewindPoint`, by which a caller learns beforehand whether that is possible.
  /// - Returns: the store over the files that are left, or the same store if there is nothing to cut.
  package func rewind(
    to lsn: LSN, store: LogStore, configuration: StoreConfiguration, workers: Int, run: ParallelRunner
  ) throws -> (store: LogStore, report: RewindReport) {
    precondition(
      store.directory == storePath(current.storeNumber), "\(store.directory) is not the live store of \(path)")
    let durable = store.commit(flush: true).durable
    let access = store.writeLock.lock()
    let last = LSN(store.lastAppended)
    let point = store.rewindPoint(notAfter: lsn, access)
    let floor = store.rewindFloor
    let lostReign = point.flatMap { store.terms.reign(of: $0.next) }
    store.writeLock.unlock(access)
    guard store.writeRefusal == nil, durable == last else {
      throw OpenError("the log cannot be cut: \(store.writeRefusal.map { "\($0)" } ?? "it is not on disk")")
    }
    guard let point else {
      throw OpenError(
        "the log cannot be cut back to LSN \(lsn): records that would be needed again were dropped up to LSN \(floor). A "
          + "full sync is needed")
    }
    var report = RewindReport()
    report.lastLSN = point
    guard point < last else { return (store, report) }
    guard let lostReign else { throw OpenError("no term is known for the record behind LSN \(point)") }
    report.lost = try store.writeLostRecords(after: point, in: path)
    store.retire("the log was cut back to LSN \(point); the node goes on with another store")
    do throws(FileError) {
      try change { generation in
        store.describe(&generation)
        generation.cutBack(to: point, reign: lostReign)
      }
    } catch {
      // Without room nothing was renamed. Otherwise the generation may be on disk or not, and a start will see.
      if error.isNoSpace { store.takeBack() }
      throw error
    }
    let (cut, recovery) = try openStore(configuration: configuration, workers: workers, run: run)
    cut.wallClock = store.wallClock
    cut.withWriteLock { access in cut.setReplica(store.isReplica, access) }
    cut.compression = store.compression
    report.recovery = recovery
    return (cut, report)
  }
}
