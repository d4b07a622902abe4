// Raw memory: looks at arguments and records where they lie; none outlives its batch.
import LogStore
import RESP

/// Commands about whole databases.
enum DatabaseCommands {
  /// DBSIZE. As in Redis, expired keys count until they are deleted. Of one moment, without a lock where nobody writes.
  static func size(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    let keys = executor.keys
    let count = keys.atOneMoment { keys.store.keyCount(session.database) }
    executor.reply.integer(Int64(count))
  }

  /// FLUSHDB [ASYNC | SYNC]. Either way the old keys are freed behind the readers.
  static func flush(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let database = session.database
    try flush(arguments, executor, session) { store, access in store.flushDatabase(database, access) }
  }

  /// FLUSHALL [ASYNC | SYNC]
  static func flushAll(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try flush(arguments, executor, session) { store, access in store.flushAll(access) }
  }

  private static func flush(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session,
    _ erase: (LogStore, borrowing WriteAccess) -> Bool
  ) throws(CommandFailure) {
    let keys = executor.keys
    keys.freesWith = 0
    defer { keys.freesWith = nil }
    guard
      arguments.count == 1
        || arguments.count == 2
          && (equalsIgnoringCase(arguments[1], "async") || equalsIgnoringCase(arguments[1], "sync"))
    else { throw .syntax }
    try keys.beginWriteAnywhere()
    guard session.database < keys.store.databases else { throw .databaseOutOfRange }
    guard erase(keys.store, keys.writeAccess!) else { throw .outOfMemory }
    keys.wrote()
    executor.reply.ok()
  }

  /// SWAPDB index1 index2
  static func swap(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    guard let first = parseInteger(arguments[1]), Int32(exactly: first) != nil else {
      throw .text("ERR invalid first DB index")
    }
    guard let second = parseInteger(arguments[2]), Int32(exactly: second) != nil else {
      throw .text("ERR invalid second DB index")
    }
    let databases = 0..<Int64(keys.store.databases)
    guard databases.contains(first), databases.contains(second) else { throw .databaseOutOfRange }
    try keys.beginWriteAnywhere()
    if first != second {
      guard keys.store.swapDatabases(Int(first), Int(second), keys.writeAccess!) else { throw .outOfMemory }
      keys.wrote()
    }
    executor.reply.ok()
  }
}
