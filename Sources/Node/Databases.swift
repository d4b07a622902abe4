import Core
import LogStore
import Logging
import Replication

// How many databases there are: `DatabaseCount` decides, the log names it.
extension NodeCore {
  /// With the first records of a reign.
  func nameDatabases(_ store: LogStore, isFirstOfStart: Bool, _ access: borrowing WriteAccess) {
    let wanted = DatabaseCount.atReign(
      own: configuration.databases, named: store.catalogRecordLSN > .none ? store.databases : nil,
      inForce: store.databases, used: store.databasesUsed,
      isStart: isFirstOfStart)
    // Without memory for the record nothing else is written either, and the next reign tries again.
    _ = store.nameDatabases(wanted, access)
  }

  /// Says once that the number this node was started with is not the one that counts.
  func reviewDatabases() {
    let store = self.store
    let (isMaster, own) = (self.isMaster, configuration.databases)
    // A slave that has nothing yet does not know its master's number.
    guard own != store.databases, isMaster || store.positions.applied > .none else { return }
    let isNew = databasesNoted.withLock { noted in
      defer { noted = (store.databases, isMaster) }
      return noted.map { $0.number != store.databases || $0.asMaster != isMaster } ?? true
    }
    guard isNew else { return }
    let (inForce, used) = store.withWriteLock { _ in (store.databases, store.databasesUsed) }
    guard let note = DatabaseCount.note(own: own, inForce: inForce, used: used, isMaster: isMaster) else { return }
    logger.warning(
      "--databases does not count: the number belongs to the data set",
      metadata: ["databases": "\(inForce)", "databases.configured": "\(own)", "databases.reason": "\(note)"])
  }
}
