// Raw memory: values are copied from where the old record lies to the new one.
import LogStore
import RESP

/// Commands that carry a value, with its expiry, to another key or another database.
extension Executor {
  /// RENAME key newkey, RENAMENX key newkey
  func renameKey(_ arguments: borrowing ArgumentList, _ session: Session, onlyNew: Bool) throws(CommandFailure) {
    let from = arguments[1]
    let to = arguments[2]
    guard let source = try existing(from, in: session.database) else { throw .noSuchKey }
    let isSame = from.count == to.count && from.elementsEqual(to)
    if !isSame {
      let target = try target(to, in: session.database)
      if onlyNew, live(target) != nil { return reply.integer(0) }
      let record = try expanded(source.record, at: source.target)
      try unit(in: session.database) { () throws(CommandFailure) in
        try carry(record, to: target, key: to, in: session.database)
        // Found again: the index has changed.
        try remove(try self.target(from, in: session.database), key: from)
      }
    }
    if onlyNew { reply.integer(isSame ? 0 : 1) } else { reply.ok() }
  }

  /// COPY source destination [DB destination-db] [REPLACE]
  func copyKey(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
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
        database = try databaseIndex(arguments[i])
      } else {
        throw .syntax
      }
      i += 1
    }
    if database == session.database, from.count == to.count, from.elementsEqual(to) { throw Self.sameObject }
    guard let source = try existing(from, in: session.database) else { return reply.integer(0) }
    let target = try target(to, in: database)
    if !replaces, live(target) != nil { return reply.integer(0) }
    try carry(try expanded(source.record, at: source.target), to: target, key: to, in: database)
    reply.integer(1)
  }

  /// MOVE key db
  func moveKey(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    let key = arguments[1]
    let database = try databaseIndex(arguments[2])
    if database == session.database { throw Self.sameObject }
    guard let source = try existing(key, in: session.database) else { return reply.integer(0) }
    let target = try target(key, in: database)
    if live(target) != nil { return reply.integer(0) }
    let record = try expanded(source.record, at: source.target)
    try unit(in: nil) { () throws(CommandFailure) in
      try carry(record, to: target, key: key, in: database)
      // The other database has an index of its own: this place still holds.
      try remove(source.target, key: key)
    }
    reply.integer(1)
  }

  private static var sameObject: CommandFailure {
    .text("ERR source and destination objects are the same")
  }

  /// Writes a record's value and expiry under another key.
  private func carry(
    _ record: RecordView, to target: WriteTarget, key: UnsafeRawBufferPointer, in database: Int
  ) throws(CommandFailure) {
    try put(target, key: key, value: record.value, expiry: record.expiry, in: database)
  }
}
