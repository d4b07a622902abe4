import Core
import LogStore

/// Tests on one thread: each of these takes the write lock for itself. Not inside `withWriteLock`.
extension LogStore {
  @discardableResult
  func beginTerm(_ reign: Reign, level: RecordLevel = .async) -> Bool {
    withWriteLock { access in beginTerm(reign, level: level, access) }
  }
  func setReplica(_ replica: Bool) { withWriteLock { access in setReplica(replica, access) } }
  func setLevel(_ level: RecordLevel) { withWriteLock { access in setLevel(level, access) } }
  func committable(durable: LSN, fullsync: LSN, quorum: LSN) -> LSN {
    withWriteLock { access in committable(durable: durable, fullsync: fullsync, quorum: quorum, access) }
  }
  func sendable(durable: LSN) -> LSN { withWriteLock { access in sendable(durable: durable, access) } }
  func reviewGate() { withWriteLock { access in reviewGate(access) } }
  func follow(committed lsn: LSN) { withWriteLock { access in follow(committed: lsn, access) } }
  func beginUnit() { withWriteLock { access in beginUnit(access) } }
  func endUnit() { withWriteLock { access in endUnit(access) } }
  func flushDatabase(_ database: Int) -> Bool { withWriteLock { access in flushDatabase(database, access) } }
  func flushAll() -> Bool { withWriteLock { access in flushAll(access) } }
  func swapDatabases(_ a: Int, _ b: Int) -> Bool { withWriteLock { access in swapDatabases(a, b, access) } }
  func setTableLevel(_ database: Int, _ level: RecordLevel?) -> Bool {
    withWriteLock { access in setTableLevel(database, level, access) }
  }
  func setVoters(_ nodes: [NodeID]) -> Bool { withWriteLock { access in setVoters(nodes, access) } }
  func nameDatabases(_ count: Int) -> Bool { withWriteLock { access in nameDatabases(count, access) } }
  func closeActiveSegment() { withWriteLock { access in closeActiveSegment(access) } }
  func closeLog() { withWriteLock { access in closeLog(access) } }
  func appendReplicated(_ bytes: UnsafeRawBufferPointer) throws(ReplicaRefusal) {
    try withWriteLock { access throws(ReplicaRefusal) in try appendReplicated(bytes, access) }
  }
  @discardableResult
  func apply(upTo limit: LSN) throws(LogReadError) -> LSN {
    try withWriteLock { access throws(LogReadError) in try apply(upTo: limit, access) }
  }
  func rewindPoint(notAfter lsn: LSN) -> LSN? { withWriteLock { access in rewindPoint(notAfter: lsn, access) } }
  func logBytes(from lsn: LSN) -> Int { withWriteLock { access in logBytes(from: lsn, access) } }
  func deltaFigures(after lsn: LSN) -> DeltaFigures { withWriteLock { access in deltaFigures(after: lsn, access) } }
  func figures() -> Figures { withWriteLock { access in figures(access) } }
  func digests() -> [DatabaseDigest] { withWriteLock { access in digests(access) } }
  func partitionSums(_ database: Int) -> (table: UInt32, sums: [(sum: UInt64, keys: UInt32)]) {
    withWriteLock { access in partitionSums(database, access) }
  }
  func census() -> KeyspaceCensus { withWriteLock { access in census(access) } }
  func setDictionaries(_ byTable: [UInt32: ValueDictionary], slot: Int) {
    withWriteLock { access in setDictionaries(byTable, slot: slot, access) }
  }
  func clearDictionaries(slot: Int) { withWriteLock { access in clearDictionaries(slot: slot, access) } }
  func expireDue(now: UInt64, limit: Int) -> (deleted: Int, examined: Int) {
    withWriteLock { access in expireDue(now: now, limit: limit, access) }
  }
  func reviewExpiries(now: UInt64, limit: Int) -> Int {
    withWriteLock { access in reviewExpiries(now: now, limit: limit, access) }
  }
}
