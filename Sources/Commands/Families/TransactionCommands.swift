// Raw memory: hands views of watched keys through; none outlives its call.
import LogStore
import RESP

/// MULTI and what belongs to it. EXEC runs the queue under the write lock and as one unit of the log.
enum TransactionCommands {
  /// MULTI
  static func begin(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard session.transaction == nil else { throw .text("ERR MULTI calls can not be nested") }
    session.transaction = Transaction()
    executor.reply.ok()
  }

  /// DISCARD
  static func discard(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard session.transaction != nil else { throw .text("ERR DISCARD without MULTI") }
    session.discardTransaction()
    executor.reply.ok()
  }

  /// EXEC
  static func execute(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) -> Outcome {
    guard let transaction = session.transaction else { throw .text("ERR EXEC without MULTI") }
    let watched = session.watched
    session.discardTransaction()
    if transaction.aborted { throw .text("EXECABORT Transaction discarded because of previous errors.") }
    if transaction.reads, let refusal = executor.staleness(.readonly, session) {
      executor.errorReplies &+= 1
      executor.reply.error(refusal)
      return .done
    }
    let keys = executor.keys
    if transaction.writes {
      do throws(CommandFailure) { try keys.beginWriteAnywhere() } catch {
        executor.discarded(because: error)
        return .done
      }
    } else {
      keys.holdStill()
    }
    for key in watched where try isTouched(key, keys) {
      executor.reply.nullArray()
      return .done
    }
    return keys.asTransaction(writes: transaction.writes) { executor.run(transaction, session) }
  }

  // MARK: WATCH

  /// UNWATCH
  static func unwatch(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    session.unwatch()
    executor.reply.ok()
  }

  /// WATCH key [key ...]
  static func watch(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    guard session.transaction == nil else { throw .text("ERR WATCH inside MULTI is not allowed") }
    for i in 1..<arguments.count {
      let key = arguments[i]
      let bytes = key.count + 96
      guard bytes <= Transaction.bytesMax - session.watchedBytes else {
        throw .text("ERR too many keys are watched")
      }
      // A key watched twice stands there twice: the older look decides.
      let lsn = try keys.readStored(key, in: session.database)?.lsn ?? 0
      session.watchedBytes += bytes
      session.watched.append(
        WatchedKey(
          database: session.database, boundAt: keys.store.table(session.database).pointee.boundAt,
          lineage: keys.store.hashSeed,
          key: [UInt8](key), lsn: lsn))
    }
    executor.reply.ok()
  }

  /// Whether a watched key has been written, deleted, or has expired since WATCH. Under the write lock.
  ///
  /// A key that was missing and is missing again counts as untouched: what the client saw is so.
  private static func isTouched(_ watched: WatchedKey, _ keys: KeyAccess) throws(CommandFailure) -> Bool {
    if watched.lineage != keys.store.hashSeed { return true }
    let seen: Result<UInt64, CommandFailure> = watched.key.withUnsafeBytes { bytes in
      // The empty key: an empty array may have no address, the index wants one.
      let start = bytes.baseAddress ?? UnsafeRawPointer(bitPattern: 8)
      let key = UnsafeRawBufferPointer(start: start, count: bytes.count)
      return Result { () throws(CommandFailure) in try keys.readStored(key, in: watched.database)?.lsn ?? 0 }
    }
    let lsn = try seen.get()
    if lsn != watched.lsn { return true }
    // The same record under another binding: FLUSHDB or SWAPDB passed by.
    return lsn != 0 && keys.store.table(watched.database).pointee.boundAt != watched.boundAt
  }
}
