// Raw memory: looks at arguments where they lie; none outlives its command.
import Core
import LogStore
import RESP

/// When this connection's writes are good, and how old what it reads may be.
enum LevelCommands {
  // MARK: COMMIT

  /// COMMIT LEVEL [async | fullsync | fullsync:n | quorum | default]
  ///
  /// The server's level, the database's and the connection's all hold: a connection can only add to it.
  static func commit(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    guard equalsIgnoringCase(arguments[1], "level") else { throw .syntax }
    switch arguments.count {
    case 2: executor.reply.bulk(executor.level.joined(keys.store.tableLevel(session.database)).name)
    case 3:
      if equalsIgnoringCase(arguments[2], "default") {
        session.level = nil
      } else {
        session.level = try level(named: arguments[2], executor)
      }
      executor.level = executor.services.level.joined(session.level)
      executor.reply.ok()
    default: throw .syntax
    }
  }

  private static func level(
    named name: UnsafeRawBufferPointer, _ executor: Executor
  ) throws(CommandFailure) -> RecordLevel {
    let text = String(decoding: name, as: UTF8.self).lowercased()
    for level in RecordLevel.allCases where level != .both && level.name == text { return level }
    guard text.hasPrefix("fullsync:"), let slaves = Int(text.dropFirst(9)), slaves > 0 else {
      throw .text("ERR a commit level is async, fullsync, fullsync:n or quorum")
    }
    guard slaves <= executor.services.fullsyncSlaves else {
      throw .text("ERR this server's fullsync waits for fewer slaves: raise it with CONFIG SET commit fullsync:n")
    }
    return .fullsync
  }

  // MARK: TABLE

  /// TABLE SET db COMMIT async | fullsync | quorum | default, and TABLE LIST.
  ///
  /// It belongs to the database's number, not to its keys: FLUSHDB and SWAPDB leave it.
  static func table(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    if equalsIgnoringCase(arguments[1], "list"), arguments.count == 2 { return listTables(executor) }
    guard equalsIgnoringCase(arguments[1], "set"), arguments.count == 5, equalsIgnoringCase(arguments[3], "commit")
    else { throw .syntax }
    let database = try keys.databaseIndex(arguments[2])
    let wanted = equalsIgnoringCase(arguments[4], "default") ? nil : try level(named: arguments[4], executor)
    try keys.beginWriteAnywhere()
    if keys.store.tableLevel(database) != wanted {
      guard keys.store.setTableLevel(database, wanted, keys.writeAccess!) else { throw .outOfMemory }
      keys.wrote()
    }
    executor.reply.ok()
  }

  /// [db, keys, its own level or `default`, the level that holds for this connection] of every database that has keys or a level.
  private static func listTables(_ executor: Executor) {
    let keys = executor.keys
    let counts = keys.atOneMoment { (0..<keys.store.databases).map { keys.store.keyCount($0) } }
    let shown = counts.indices.filter { counts[$0] > 0 || keys.store.tableLevel($0) != nil }
    executor.reply.array(shown.count)
    for database in shown {
      let own = keys.store.tableLevel(database)
      executor.reply.array(4)
      executor.reply.integer(Int64(database))
      executor.reply.integer(Int64(counts[database]))
      executor.reply.bulk(own?.name ?? "default")
      executor.reply.bulk(executor.level.joined(own).name)
    }
  }

  // MARK: READ

  /// READ MAXLAG n [ms | records], READ MAXLAG off, READ MAXLAG.
  static func read(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    guard equalsIgnoringCase(arguments[1], "maxlag"), arguments.count <= 4 else { throw .syntax }
    if arguments.count == 2 {
      switch session.staleness {
      case nil: executor.reply.bulk("off")
      case .milliseconds(let bound): executor.reply.bulk("\(bound) ms")
      case .records(let bound): executor.reply.bulk("\(bound) records")
      }
      return
    }
    if arguments.count == 3, equalsIgnoringCase(arguments[2], "off") {
      session.staleness = nil
    } else {
      guard let number = parseInteger(arguments[2]), number >= 0 else { throw .notInteger }
      let bound = UInt64(number)
      if arguments.count == 3 || equalsIgnoringCase(arguments[3], "ms") {
        session.staleness = .milliseconds(bound)
      } else if equalsIgnoringCase(arguments[3], "records") {
        session.staleness = .records(bound)
      } else {
        throw .syntax
      }
    }
    executor.reply.ok()
  }
}

extension RecordLevel {
  package var name: String {
    switch self {
    case .async: "async"
    case .fullsync: "fullsync"
    case .quorum: "quorum"
    case .both: "fullsync and quorum"
    }
  }
}
