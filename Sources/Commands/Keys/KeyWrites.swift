// Raw memory: hands views of records and arguments through; none outlives its batch.
import Core
import LogStore
import RESP

// How commands write: the lock, the level, the place of a key, the record; and what their replies wait for.
extension KeyAccess {
  /// Takes the write lock for the rest of the batch, if writes are taken.
  @inline(__always)
  func beginWrite(in database: Int) throws(CommandFailure) {
    guard takesWrites else { throw .readOnly }
    holdStill()
    guard store.isWritable || freesSpace, !store.isReplica, writeBar == .none else { throw refusal() }
    // The data set may have got fewer since the connection chose it, on a slave or with another store.
    guard database < store.databases else { throw .databaseOutOfRange }
    // In a unit the level was chosen with its first record: none of it is good before all of it is.
    if !inUnit { store.setLevel(level.joined(store.tableLevel(database)), writeAccess!) }
  }

  /// The same for what touches several databases: what all of them ask for.
  func beginWriteAnywhere() throws(CommandFailure) {
    try beginWrite(in: 0)
    guard !inUnit else { return }
    var all = level
    for database in 0..<store.databases {
      all = all.joined(store.tableLevel(database))
    }
    store.setLevel(all, writeAccess!)
  }

  /// Asked on a full disk only, under the write lock.
  @inline(never)
  private var freesSpace: Bool {
    guard let freesWith else { return false }
    if isFreeing, case .noSpace = store.writeRefusal { return true }
    return store.takesWhatFrees(quarters: freesWith)
  }

  @inline(never)
  func refusal() -> CommandFailure {
    // A master that cannot begin its reign has its log closed as a slave has.
    if store.isReplica, services.roleName == "master", case .noSpace = store.writeRefusal { return .noSpace }
    if store.isReplica { return .readOnly }
    if store.isWritable {
      switch writeBar {
      case .none: break
      case .fewSlaves: return .text("NOREPLICAS Not enough good replicas to write.")
      case .queueFull: return .queueFull
      case .otherDataSet:
        return .text(
          "OTHERDATASET a node of another data set claims this master's place, so no writes are taken until an operator decides: MS_NEW_DATA_SET keeps this one, REPLICAOF follows the other; see INFO replication"
        )
      }
    }
    if case .noSpace = store.writeRefusal { return .noSpace }
    return .logFailed
  }

  /// The place of a key, for a write. Begins the write.
  @inline(__always)
  func target(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) -> WriteTarget {
    try beginWrite(in: database)
    guard key.count <= store.configuration.keyBytesMax else { throw .keyTooLong }
    let table = store.table(database)
    if _slowPath(table.pointee.boundAt > settled) { see(table.pointee.boundAt, .quorum) }
    let target = store.locate(table, store.hash(key), key)
    if _slowPath(target.damaged) { throw .corrupt }
    return target
  }

  /// The place and the stored record of a key that a command needs to be there; nil if it is not, or has expired, and the
  /// reply then waits until that is good. Begins the write.
  @inline(__always)
  func existing(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure)
    -> (target: WriteTarget, record: RecordView)?
  {
    try beginWrite(in: database)
    // Too long a key cannot have been stored: it is missing, not wrong.
    if _fastPath(key.count <= store.configuration.keyBytesMax) {
      let target = try target(key, in: database)
      if let record = live(target) { return (target, record) }
    }
    _ = try readStored(key, in: database)
    return nil
  }

  /// The record at a target as it is stored, nil if it has expired. `liveValue` is for those who look at the value.
  @inline(__always)
  func live(_ target: WriteTarget) -> RecordView? {
    // A reply that tells of it, or that there is nothing, waits until that is good.
    guard let old = target.old else {
      let removal = store.lastRemoval(target)
      if _slowPath(removal > settled) { see(removal) }
      return nil
    }
    if _slowPath(old.lsn > settled) { see(old.lsn, old.level) }
    if _slowPath(old.flags & RecordFlag.expiry != 0), old.expiry <= now { return nil }
    return old
  }

  /// Writes a value, compressed if that pays: `expiry` in milliseconds since 1970, 0 for none.
  @inline(__always)
  func put(
    _ target: WriteTarget, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, expiry: UInt64, in database: Int
  ) throws(CommandFailure) {
    if _slowPath(store.compressesValues), value.count >= values.rawBytesMin,
      try putCompressed(target, key: key, value: value, expiry: expiry)
    {
      return
    }
    let place = try beginPut(key: key, valueBytes: value.count, expiry: expiry, in: database)
    if let source = value.baseAddress { place.copyMemory(from: source, byteCount: value.count) }
    endPut(target)
  }

  /// Makes room for a value of `valueBytes` bytes; the caller fills it and calls `endPut`. It is not compressed: a value
  /// that is changed in part is likely to be changed again, and would be expanded each time. Records of the same batch may
  /// still be read meanwhile.
  @inline(__always)
  func beginPut(
    key: UnsafeRawBufferPointer, valueBytes: Int, expiry: UInt64, in database: Int
  ) throws(CommandFailure) -> UnsafeMutableRawPointer {
    if _slowPath(valueBytes > Self.smallBytesMax || valueBytes > store.configuration.valueBytesMax) {
      try noteLarge(valueBytes)
    }
    guard
      let place = store.beginPut(store.table(database), key: key, valueBytes: valueBytes, expiry: expiry, writeAccess!)
    else {
      throw .outOfMemory
    }
    return place
  }

  @inline(__always)
  func endPut(_ target: WriteTarget) {
    store.endPut(target, writeAccess!)
    wrote()
  }

  /// Removes the record at a target.
  @inline(__always)
  func remove(_ target: WriteTarget, key: UnsafeRawBufferPointer) throws(CommandFailure) {
    guard store.delete(target, key: key, writeAccess!) else { throw .outOfMemory }
    wrote()
  }

  /// Runs writes that belong together: whole or not at all after a crash, on every slave and for every reader.
  ///
  /// Takes the write lock. Inside a transaction the whole transaction is the unit already. The unit is closed whatever
  /// happens, so `body` must not be refused half-way: what can be refused is checked before, or as its first step.
  ///
  /// - Parameter database: where all of it happens; nil if in several.
  @inline(__always)
  func unit(in database: Int?, _ body: () throws(CommandFailure) -> Void) throws(CommandFailure) {
    if inTransaction { return try body() }
    if let database { try beginWrite(in: database) } else { try beginWriteAnywhere() }
    store.beginUnit(writeAccess!)
    inUnit = true
    defer {
      store.endUnit(writeAccess!)
      inUnit = false
    }
    try body()
  }

  /// Runs the commands of one EXEC, under the write lock: one unit of the log if they write. Without writes there is no unit:
  /// a slave's log goes its own way.
  func asTransaction<Result>(writes: Bool, _ body: () -> Result) -> Result {
    precondition(holdsLock, "a transaction runs under the write lock")
    if writes { store.beginUnit(writeAccess!) }
    inTransaction = true
    inUnit = true
    defer {
      inTransaction = false
      inUnit = false
      if writes { store.endUnit(writeAccess!) }
    }
    return body()
  }
}
