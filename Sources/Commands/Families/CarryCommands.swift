// Raw memory: values are copied from where the old record lies to the new one.
import LogStore
import RESP

/// Commands that carry a value, with its expiry, to another key or another database.
enum CarryCommands {
  /// RENAME key newkey
  static func rename(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try rename(arguments, executor, session, onlyNew: false)
  }

  /// RENAMENX key newkey
  static func renameIfAbsent(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try rename(arguments, executor, session, onlyNew: true)
  }

  private static func rename(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session, onlyNew: Bool
  ) throws(CommandFailure) {
    let keys = executor.keys
    let from = arguments[1]
    let to = arguments[2]
    guard let source = try keys.existing(from, in: session.database) else { throw .noSuchKey }
    let isSame = from.count == to.count && from.elementsEqual(to)
    if !isSame {
      let target = try keys.target(to, in: session.database)
      if onlyNew, keys.live(target) != nil { return executor.reply.integer(0) }
      let record = try keys.expanded(source.record, at: source.target)
      try keys.unit(in: session.database) { () throws(CommandFailure) in
        try carry(record, to: target, key: to, keys, in: session.database)
        // Found again: the index has changed.
        try keys.remove(try keys.target(from, in: session.database), key: from)
      }
    }
    if onlyNew { executor.reply.integer(isSame ? 0 : 1) } else { executor.reply.ok() }
  }

  /// COPY source destination [DB destination-db] [REPLACE]
  static func copy(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    let from = arguments[1]
    let to = arguments[2]
    var database = session.database
    var replaces = false
    var i = 3
    while i < arguments.count {
      if equalsIgnoringCase(arguments[i], "replace") {
        replaces = true
      } else if equalsIgnoringCase(arguments[i], "db"), i + 1 < arguments.count {
        i += 1
        database = try keys.databaseIndex(arguments[i])
      } else {
        throw .syntax
      }
      i += 1
    }
    if database == session.database, from.count == to.count, from.elementsEqual(to) { throw Self.sameObject }
    guard let source = try keys.existing(from, in: session.database) else { return executor.reply.integer(0) }
    let target = try keys.target(to, in: database)
    if !replaces, keys.live(target) != nil { return executor.reply.integer(0) }
    try carry(try keys.expanded(source.record, at: source.target), to: target, key: to, keys, in: database)
    executor.reply.integer(1)
  }

  /// MOVE key db
  static func move(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let database = try keys.databaseIndex(arguments[2])
    if database == session.database { throw Self.sameObject }
    guard let source = try keys.existing(key, in: session.database) else { return executor.reply.integer(0) }
    let target = try keys.target(key, in: database)
    if keys.live(target) != nil { return executor.reply.integer(0) }
    let record = try keys.expanded(source.record, at: source.target)
    try keys.unit(in: nil) { () throws(CommandFailure) in
      try carry(record, to: target, key: key, keys, in: database)
      // The other database has an index of its own: this place still holds.
      try keys.remove(source.target, key: key)
    }
    executor.reply.integer(1)
  }

  private static var sameObject: CommandFailure {
    .text("ERR source and destination objects are the same")
  }

  /// Writes a record's value and expiry under another key.
  private static func carry(
    _ record: RecordView, to target: WriteTarget, key: UnsafeRawBufferPointer, _ keys: KeyAccess, in database: Int
  ) throws(CommandFailure) {
    try keys.put(target, key: key, value: record.value, expiry: record.expiry, in: database)
  }
}
