// Raw memory: hands views of records through; none outlives its batch.
import Core
import LogStore
import RESP

// How commands read: the record of a key, what the reply must wait for, and what several reads must be of one moment.
extension KeyAccess {
  /// The live record of a key with its value as it was written, nil if there is none or it has expired. Notes what the
  /// reply must wait for. Valid until the next command.
  @inline(__always)
  package func read(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    guard let record = try readStored(key, in: database) else { return nil }
    if _slowPath(record.isCompressed) { return try expanded(record, key, in: database) }
    return record
  }

  /// The same as it is stored: for those who do not look at the value, which may be compressed.
  @inline(__always)
  package func readStored(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    let table = store.table(database)
    switch store.find(table, store.hash(key), key) {
    case .found(let record):
      // An old record may be seen through a new binding of its table (SWAPDB).
      let seen = max(record.lsn, table.pointee.boundAt)
      if _slowPath(seen > settled) { return try readUnsettled(key, in: database) }
      if seen > newestSeen { newestSeen = seen }
      return unlessExpired(record)
    case .missing(let lastRemoval):
      if _slowPath(lastRemoval > settled) { return try readUnsettled(key, in: database) }
      if lastRemoval > newestSeen { newestSeen = lastRemoval }
      return nil
    case .damaged:
      throw .corrupt
    }
  }

  @inline(__always)
  func unlessExpired(_ record: RecordView) -> RecordView? {
    if _slowPath(record.flags & RecordFlag.expiry != 0), record.expiry <= now {
      expiredSeen &+= 1
      return nil
    }
    return record
  }

  /// A read that meets something newer than the batch knew: what belongs to an unfinished unit is waited for (its writer
  /// holds the lock and does no IO), what is not good yet holds the reply back.
  @inline(never)
  private func readUnsettled(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> RecordView? {
    var waited = holdsLock
    while true {
      let seen: UInt64
      var record: RecordView?
      let table = store.table(database)
      switch store.find(table, store.hash(key), key) {
      case .found(let found):
        seen = max(found.lsn, table.pointee.boundAt)
        record = found
      case .missing(let lastRemoval): seen = lastRemoval
      case .damaged: throw .corrupt
      }
      if !waited, seen > store.positions.applied.value {
        store.withWriteLock { _ in }
        waited = true
        continue
      }
      see(seen, record.map { $0.lsn == seen ? $0.level : .quorum } ?? .quorum)
      if seen > newestSeen { newestSeen = seen }
      // Newer than the batch, so perhaps written by a clock that was set back meanwhile.
      if let record, record.flags & RecordFlag.expiry != 0, record.expiry <= now, let clock = services.expiryClock {
        now = min(now, clock.milliseconds)
      }
      return record.flatMap(unlessExpired)
    }
  }

  /// A reply that says "there is no such key" waits until the removal that it rests on is good. For writes that end
  /// without a record; `read` does it itself.
  @inline(never)
  func noteAbsence(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) {
    _ = try readStored(key, in: database)
  }

  /// The live record at a target that a command is going to answer with, counted as a hit or a miss.
  @inline(__always)
  package func counted(_ record: RecordView?) -> RecordView? {
    if record == nil { misses &+= 1 } else { hits &+= 1 }
    return record
  }

  // MARK: Whole databases

  /// Figures of whole databases, never in the middle of a transaction. The reply waits for all that was visible then.
  func atOneMoment<Result>(_ body: () -> Result) -> Result {
    let (result, applied) =
      holdsLock
      ? (body(), store.positions.applied.value)
      : store.writeLock.betweenWriters { (body(), store.positions.applied.value) }
    if applied > settled { see(applied) }
    return result
  }

  /// A database's number as a client gave it.
  func databaseIndex(_ bytes: UnsafeRawBufferPointer) throws(CommandFailure) -> Int {
    guard let index = parseInteger(bytes) else { throw .notInteger }
    guard Int32(exactly: index) != nil else {
      throw .text("ERR value is out of range, value must between -2147483648 and 2147483647")
    }
    guard index >= 0, index < Int64(store.databases) else { throw .databaseOutOfRange }
    return Int(index)
  }

  /// A reply that depends on which keys there are, and which not, waits for all that is visible here.
  func sawWholeDatabase() {
    let applied = store.positions.applied.value
    if applied > settled { see(applied) }
  }
}
