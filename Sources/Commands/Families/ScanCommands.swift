// Raw memory: keys are matched and copied where their records lie.
import Core
import LogStore
import RESP

/// Walks over a database's keys. Expired keys are passed over.
///
/// KEYS, and each call of SCAN, shows one moment: never half of a transaction. The reply waits until everything is good that
/// was visible then.
enum ScanCommands {
  /// KEYS pattern. O(keys), others write meanwhile; one look-up for a pattern without wildcards.
  static func list(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    let pattern = arguments[1]
    if GlobPattern.isLiteral(pattern) {
      guard try keys.readStored(pattern, in: session.database) != nil else { return executor.reply.array(0) }
      executor.reply.array(1)
      return executor.reply.bulk(pattern)
    }
    let matchesAll = pattern.count == 1 && pattern[0] == UInt8(ascii: "*")
    let (records, _) = walk(keys, session.database, from: 0, count: nil) { record in
      isAlive(record, keys) && (matchesAll || GlobPattern.matches(pattern, record.key))
    }
    executor.reply.array(records.count)
    for record in records { executor.reply.bulk(record.key) }
  }

  /// Records of one moment, and the next cursor. Notes what the reply must wait for.
  private static func walk(
    _ keys: KeyAccess, _ database: Int, from cursor: UInt64, count: Int?, _ isWanted: (RecordView) -> Bool
  ) -> (records: [RecordView], next: UInt64) {
    if keys.holdsLock {
      keys.sawWholeDatabase()
      var found: [RecordView] = []
      var next = cursor
      repeat {
        next = keys.store.scan(keys.store.table(database), cursor: next, count: count ?? 1 << 16) { record in
          if isWanted(record) { found.append(record) }
        }
      } while count == nil && next != 0
      return (found, next)
    }
    let walk = keys.store.keys(of: database, from: cursor, count: count, isWanted)
    if walk.moment.value > keys.settled { keys.see(walk.moment.value) }
    return (walk.records, walk.next)
  }

  /// SCAN cursor [MATCH pattern] [COUNT count] [TYPE type]
  static func scan(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    guard let cursor = Self.scanCursor(arguments[1]) else { throw .text("ERR invalid cursor") }
    var count: Int64 = 10
    var pattern: UnsafeRawBufferPointer?
    var wantsStrings = true
    var i = 2
    while i < arguments.count {
      guard i + 1 < arguments.count else { throw .syntax }
      let value = arguments[i + 1]
      if equalsIgnoringCase(arguments[i], "count") {
        guard let number = parseInteger(value) else { throw .notInteger }
        guard number >= 1 else { throw .syntax }
        count = number
      } else if equalsIgnoringCase(arguments[i], "match") {
        pattern = value.count == 1 && value[0] == UInt8(ascii: "*") ? nil : value
      } else if equalsIgnoringCase(arguments[i], "type") {
        wantsStrings = equalsIgnoringCase(value, "string")
      } else {
        throw .syntax
      }
      i += 2
    }
    let (found, next) = walk(
      keys, session.database, from: cursor, count: Int(min(count, Self.scanCountMax))
    ) { record in
      guard wantsStrings, isAlive(record, keys) else { return false }
      return pattern.map { GlobPattern.matches($0, record.key) } ?? true
    }
    executor.reply.array(2)
    executor.reply.bulk(integer: Int64(clamping: next))
    executor.reply.array(found.count)
    for record in found { executor.reply.bulk(record.key) }
  }

  /// RANDOMKEY
  static func randomKey(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) {
    let keys = executor.keys
    keys.sawWholeDatabase()
    let table = keys.store.table(session.database)
    var draw: UInt64 = 0
    for _ in 0..<100 {
      let record = keys.store.anyRecord(table) { bound in
        // Drawn from what a simulation repeats as well.
        draw &+= 1
        return KeyHash.mix(executor.commandsProcessed ^ keys.store.hashSeed, keys.now ^ draw &* 0x9E37_79B9_7F4A_7C15)
          .multipliedFullWidth(by: bound).high
      }
      guard let record else { break }
      if isShown(record, keys) { return executor.reply.bulk(record.key) }
    }
    // Nearly all have expired: the first that has not.
    var cursor: UInt64 = 0
    var found: RecordView?
    repeat {
      cursor = keys.store.scan(table, cursor: cursor, count: 64) { record in
        if found == nil, isShown(record, keys) { found = record }
      }
    } while cursor != 0 && found == nil
    if let found { executor.reply.bulk(found.key) } else { executor.reply.null() }
  }

  /// False for an expired record.
  private static func isAlive(_ record: RecordView, _ keys: KeyAccess) -> Bool {
    record.flags & RecordFlag.expiry == 0 || record.expiry > keys.now
  }

  /// The same for a single record that was met. Notes what the reply must wait for: also the rest of its transaction.
  private static func isShown(_ record: RecordView, _ keys: KeyAccess) -> Bool {
    if record.lsn > keys.settled {
      if !keys.holdsLock, record.lsn > keys.store.positions.applied.value { keys.store.writeLock.waitForWriter() }
      keys.see(record.lsn, record.level)
    }
    return isAlive(record, keys)
  }

  /// Beyond any database's size, and small enough for the store's arithmetic.
  private static var scanCountMax: Int64 { 1 << 30 }

  /// Reads a cursor as Redis does, with C's `strtoul`: a sign is allowed, a minus counts down from 2^64, the number ends
  /// with the argument or a NUL; nothing at all is 0.
  static func scanCursor(_ bytes: UnsafeRawBufferPointer) -> UInt64? {
    let end = bytes.firstIndex(of: 0) ?? bytes.count
    if end == 0 { return 0 }
    var i = 0
    let isNegative = bytes[0] == UInt8(ascii: "-")
    if isNegative || bytes[0] == UInt8(ascii: "+") { i = 1 }
    guard i < end else { return nil }
    var value: UInt64 = 0
    while i < end {
      let digit = bytes[i] &- 0x30
      guard digit <= 9 else { return nil }
      let (product, over) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(digit))
      if over || carry { return nil }
      value = sum
      i += 1
    }
    return isNegative ? 0 &- value : value
  }
}
