// Raw memory: values are copied from where the old record lies to the new one.
import LogStore
import RESP

/// Commands about keys as such: there or not, of which type, whole databases. Only strings exist.
extension Executor {
  func keyspaceCommand(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    switch command {
    case .del, .unlink:
      freesWith = 1
      defer { freesWith = nil }
      try delete(arguments, session)
    case .exists, .touch: try countExisting(arguments, session)
    case .type:
      let isThere = try readStored(arguments[1], in: session.database) != nil
      reply.simple((isThere ? "string" : "none") as StaticString)
    case .keys: try keys(arguments, session)
    case .scan: try scan(arguments, session)
    case .randomkey: randomKey(session)
    case .rename: try renameKey(arguments, session, onlyNew: false)
    case .renamenx: try renameKey(arguments, session, onlyNew: true)
    case .copy: try copyKey(arguments, session)
    case .move: try moveKey(arguments, session)
    case .dbsize: databaseSize(session)
    case .flushdb, .flushall:
      freesWith = 0
      defer { freesWith = nil }
      try flush(command, arguments, session)
    case .swapdb: try swapDatabases(arguments)
    case .object: try object(arguments, session)
    default: preconditionFailure("\(command) is not about keys")
    }
  }

  /// DEL key [key ...], UNLINK key [key ...]. Several keys are one unit.
  private func delete(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    if arguments.count == 2 {
      return reply.integer(try delete(arguments[1], session) ? 1 : 0)
    }
    // A damaged record refuses the command as a whole, so all are looked at before the first is deleted.
    for i in 1..<arguments.count where arguments[i].count <= store.configuration.keyBytesMax {
      _ = try target(arguments[i], in: session.database)
    }
    var deleted: Int64 = 0
    try unit(in: session.database) { () throws(CommandFailure) in
      if !store.isWritable {
        var bytes = 0
        for i in 1..<arguments.count { bytes += arguments[i].count + Self.deletionBytes }
        guard store.takesWhatFrees(quarters: 1, bytes: bytes) else { throw refusal() }
      }
      isFreeing = true
      defer { isFreeing = false }
      for i in 1..<arguments.count where try delete(arguments[i], session) { deleted += 1 }
    }
    reply.integer(deleted)
  }

  /// About what a deletion needs in the log beside its key.
  private static let deletionBytes = 40

  @inline(__always)
  private func delete(_ key: UnsafeRawBufferPointer, _ session: Session) throws(CommandFailure) -> Bool {
    guard let found = try existing(key, in: session.database) else { return false }
    try remove(found.target, key: key)
    return true
  }

  /// EXISTS key [key ...], TOUCH key [key ...]. A key named twice counts twice.
  private func countExisting(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    var count: Int64 = 0
    try consistently { () throws(CommandFailure) in
      count = 0
      for i in 1..<arguments.count where try readStored(arguments[i], in: session.database) != nil { count += 1 }
    }
    reply.integer(count)
  }

  // MARK: Databases

  /// DBSIZE. As in Redis, expired keys count until they are deleted. Of one moment, without a lock where nobody writes.
  private func databaseSize(_ session: Session) {
    let count = atOneMoment { store.keyCount(session.database) }
    reply.integer(Int64(count))
  }

  /// Figures of whole databases, never in the middle of a transaction. The reply waits for all that was visible then.
  func atOneMoment<Result>(_ body: () -> Result) -> Result {
    let (result, applied) =
      holdsLock
      ? (body(), store.positions.applied.value)
      : store.writeLock.betweenWriters { (body(), store.positions.applied.value) }
    if applied > settled { see(applied) }
    return result
  }

  /// FLUSHDB [ASYNC | SYNC], FLUSHALL [ASYNC | SYNC]. Either way the old keys are freed behind the readers.
  private func flush(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    guard
      arguments.count == 1
        || arguments.count == 2
          && (equalsIgnoringCase(arguments[1], "async") || equalsIgnoringCase(arguments[1], "sync"))
    else { throw .syntax }
    try beginWriteAnywhere()
    guard session.database < store.databases else { throw .databaseOutOfRange }
    guard command == .flushall ? store.flushAll() : store.flushDatabase(session.database) else { throw .outOfMemory }
    wrote()
    reply.ok()
  }

  /// SWAPDB index1 index2
  private func swapDatabases(_ arguments: borrowing ArgumentList) throws(CommandFailure) {
    guard let first = parseInteger(arguments[1]), Int32(exactly: first) != nil else {
      throw .text("ERR invalid first DB index")
    }
    guard let second = parseInteger(arguments[2]), Int32(exactly: second) != nil else {
      throw .text("ERR invalid second DB index")
    }
    let databases = 0..<Int64(store.databases)
    guard databases.contains(first), databases.contains(second) else { throw .databaseOutOfRange }
    try beginWriteAnywhere()
    if first != second {
      guard store.swapDatabases(Int(first), Int(second)) else { throw .outOfMemory }
      wrote()
    }
    reply.ok()
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

  // MARK: OBJECT

  /// OBJECT ENCODING | FREQ | IDLETIME | REFCOUNT key, OBJECT HELP.
  ///
  /// The encodings are those that Redis chooses for the value when it is SET.
  private func object(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    guard let info = CommandTable.subcommand(of: .object, named: arguments[1]), let subcommand = info.subcommand else {
      errorReplies &+= 1
      return reply.unknownCommand(arguments)
    }
    guard info.accepts(argumentCount: arguments.count) else {
      errorReplies &+= 1
      return reply.wrongArgumentCount(info)
    }
    if subcommand == .objectHelp { return objectHelp() }
    guard let record = try read(arguments[2], in: session.database) else { return reply.null() }
    let number = parseInteger(record.value)
    switch subcommand {
    case .objectEncoding:
      reply.bulk((number != nil ? "int" : record.valueBytes <= 44 ? "embstr" : "raw") as StaticString)
    // Redis shares the values 0 to 9999 among all keys and says so with this number.
    case .objectRefcount: reply.integer(number.map { $0 >= 0 && $0 < 10_000 } == true ? Int64(Int32.max) : 1)
    // Accesses are not recorded.
    case .objectIdletime: reply.integer(0)
    default:
      throw .text(
        """
        ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching \
        between policies at runtime LRU and LFU data will take some time to adjust.
        """)
    }
  }

  private func objectHelp() {
    reply.array(15)
    reply.simple("OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:" as StaticString)
    reply.simple("ENCODING <key>" as StaticString)
    reply.simple("    Return the kind of internal representation used in order to store the value" as StaticString)
    reply.simple("    associated with a <key>." as StaticString)
    reply.simple("FREQ <key>" as StaticString)
    reply.simple("    Return the access frequency index of the <key>. The returned integer is" as StaticString)
    reply.simple("    proportional to the logarithm of the recent access frequency of the key." as StaticString)
    reply.simple("IDLETIME <key>" as StaticString)
    reply.simple("    Return the idle time of the <key>, that is the approximated number of" as StaticString)
    reply.simple("    seconds elapsed since the last access to the key." as StaticString)
    reply.simple("REFCOUNT <key>" as StaticString)
    reply.simple("    Return the number of references of the value associated with the specified" as StaticString)
    reply.simple("    <key>." as StaticString)
    reply.simple("HELP" as StaticString)
    reply.simple("    Prints this help." as StaticString)
  }
}
