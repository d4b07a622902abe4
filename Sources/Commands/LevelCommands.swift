// Raw memory: looks at arguments where they lie; none outlives its command.
import Core
import LogStore
import RESP

/// When this connection's writes are good, and how old what it reads may be.
extension Executor {
  // MARK: COMMIT

  /// COMMIT LEVEL [async | fullsync | fullsync:n | quorum | default]
  ///
  /// The server's level, the database's and the connection's all hold: a connection can only add to it.
  func commitCommand(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    guard equalsIgnoringCase(arguments[1], "level") else { throw .syntax }
    switch arguments.count {
    case 2: reply.bulk(level.joined(store.tableLevel(session.database)).name)
    case 3:
      if equalsIgnoringCase(arguments[2], "default") {
        session.level = nil
      } else {
        session.level = try level(named: arguments[2])
      }
      level = services.level.joined(session.level)
      reply.ok()
    default: throw .syntax
    }
  }

  private func level(named name: UnsafeRawBufferPointer) throws(CommandFailure) -> RecordLevel {
    let text = String(decoding: name, as: UTF8.self).lowercased()
    for level in RecordLevel.allCases where level != .both && level.name == text { return level }
    guard text.hasPrefix("fullsync:"), let slaves = Int(text.dropFirst(9)), slaves > 0 else {
      throw .text("ERR a commit level is async, fullsync, fullsync:n or quorum")
    }
    guard slaves <= services.fullsyncSlaves else {
      throw .text("ERR this server's fullsync waits for fewer slaves: raise it with CONFIG SET commit fullsync:n")
    }
    return .fullsync
  }

  // MARK: TABLE

  /// TABLE SET db COMMIT async | fullsync | quorum | default, and TABLE LIST.
  ///
  /// It belongs to the database's number, not to its keys: FLUSHDB and SWAPDB leave it.
  func tableCommand(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    if equalsIgnoringCase(arguments[1], "list"), arguments.count == 2 { return listTables() }
    guard equalsIgnoringCase(arguments[1], "set"), arguments.count == 5, equalsIgnoringCase(arguments[3], "commit")
    else { throw .syntax }
    let database = try databaseIndex(arguments[2])
    let wanted = equalsIgnoringCase(arguments[4], "default") ? nil : try level(named: arguments[4])
    try beginWriteAnywhere()
    if store.tableLevel(database) != wanted {
      guard store.setTableLevel(database, wanted) else { throw .outOfMemory }
      wrote()
    }
    reply.ok()
  }

  /// [db, keys, its own level or `default`, the level that holds for this connection] of every database that has keys or a level.
  private func listTables() {
    let counts = atOneMoment { (0..<store.databases).map { store.keyCount($0) } }
    let shown = counts.indices.filter { counts[$0] > 0 || store.tableLevel($0) != nil }
    reply.array(shown.count)
    for database in shown {
      let own = store.tableLevel(database)
      reply.array(4)
      reply.integer(Int64(database))
      reply.integer(Int64(counts[database]))
      reply.bulk(own?.name ?? "default")
      reply.bulk(level.joined(own).name)
    }
  }

  // MARK: READ

  /// READ MAXLAG n [ms | records], READ MAXLAG off, READ MAXLAG.
  func readCommand(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    guard equalsIgnoringCase(arguments[1], "maxlag"), arguments.count <= 4 else { throw .syntax }
    if arguments.count == 2 {
      switch session.staleness {
      case nil: reply.bulk("off")
      case .milliseconds(let bound): reply.bulk("\(bound) ms")
      case .records(let bound): reply.bulk("\(bound) records")
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
    reply.ok()
  }

  /// The error for a read that would show what is too old; nil if it may go on.
  func staleness(_ flags: CommandFlags, _ session: Session) -> String? {
    guard let bound = session.staleness, flags.contains(.readonly) else { return nil }
    return services.staleness(beyond: bound, store, now: tick)
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
