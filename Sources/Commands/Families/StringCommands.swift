// Raw memory: values are copied from where the record lies to the reply or to the next record.
import LogStore
import RESP

/// Commands on one string value or several.
enum StringCommands {
  // MARK: One value

  /// GET key
  @inline(__always)
  static func get(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    if let record = try keys.read(arguments[1], in: session.database) {
      keys.hits &+= 1
      executor.reply.bulk(record.value)
    } else {
      keys.misses &+= 1
      executor.reply.null()
    }
  }

  /// STRLEN key
  static func length(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let record = keys.counted(try keys.readStored(arguments[1], in: session.database))
    executor.reply.integer(Int64(record?.rawValueBytes ?? 0))
  }

  /// GETRANGE key start end, SUBSTR key start end
  static func getRange(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let start = try integer(arguments[2])
    let end = try integer(arguments[3])
    guard let record = keys.counted(try keys.read(arguments[1], in: session.database)),
      let range = clampedRange(start, end, length: record.valueBytes), !isReversed(start, end)
    else { return executor.reply.bulk("") }
    executor.reply.bulk(UnsafeRawBufferPointer(rebasing: record.value[range]))
  }

  /// GETSET key value
  static func getAndSet(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    try keys.put(target, key: key, value: arguments[2], expiry: 0, in: session.database)
    // The old record stays readable until the batch ends.
    executor.reply.value(keys.counted(old))
  }

  /// GETDEL key
  static func getAndDelete(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    if old != nil { try keys.remove(target, key: key) } else { try keys.noteAbsence(key, in: session.database) }
    executor.reply.value(keys.counted(old))
  }

  /// APPEND key value
  static func append(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let tail = arguments[2]
    let target = try keys.target(key, in: session.database)
    guard let old = try keys.liveValue(target) else {
      try keys.put(target, key: key, value: tail, expiry: 0, in: session.database)
      return executor.reply.integer(Int64(tail.count))
    }
    if tail.count > 0 {
      let place = try keys.beginPut(
        key: key, valueBytes: old.valueBytes + tail.count, expiry: old.expiry, in: session.database)
      copy(old.value, to: place)
      copy(tail, to: place + old.valueBytes)
      keys.endPut(target)
    }
    executor.reply.integer(Int64(old.valueBytes + tail.count))
  }

  /// SETRANGE key offset value
  static func setRange(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let piece = arguments[3]
    let announced = try integer(arguments[2])
    guard announced >= 0 else { throw .outOfRange }
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    let oldBytes = old?.valueBytes ?? 0
    guard piece.count > 0 else {
      if old == nil { try keys.noteAbsence(key, in: session.database) }
      return executor.reply.integer(Int64(oldBytes))
    }
    let offset = Int(announced)
    let (end, overflow) = offset.addingReportingOverflow(piece.count)
    guard !overflow, end <= keys.store.configuration.valueBytesMax else { throw .valueTooLong }
    let bytes = max(oldBytes, end)
    let place = try keys.beginPut(key: key, valueBytes: bytes, expiry: old?.expiry ?? 0, in: session.database)
    let kept = min(oldBytes, offset)
    if let old {
      copy(old.value.prefix(kept), to: place)
      if oldBytes > end { copy(old.value.suffix(oldBytes - end), to: place + end) }
    }
    fillWithZeros(place + kept, offset - kept)
    copy(piece, to: place + offset)
    keys.endPut(target)
    executor.reply.integer(Int64(bytes))
  }

  // MARK: Many values

  /// MGET key [key ...]
  static func getMany(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let begin = executor.reply.count
    var found = 0
    do throws(CommandFailure) {
      try executor.consistently { () throws(CommandFailure) in
        found = 0
        executor.reply.array(arguments.count - 1)
        for i in 1..<arguments.count {
          try keys.releasingValues { () throws(CommandFailure) in
            let record = try keys.read(arguments[i], in: session.database)
            if record != nil { found &+= 1 }
            executor.reply.value(record)
          }
        }
      }
    } catch {
      // An error in the place of the array, not inside of it.
      executor.reply.truncate(to: begin)
      throw error
    }
    keys.hits &+= UInt64(found)
    keys.misses &+= UInt64(arguments.count - 1 - found)
  }

  /// MSET key value [key value ...]
  static func setMany(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    guard arguments.count % 2 == 1 else { throw .wrongArgumentCount }
    _ = try anyLive(arguments, executor, session)
    try putMany(arguments, executor, session)
    executor.reply.ok()
  }

  /// MSETNX key value [key value ...]
  static func setManyIfAbsent(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    guard arguments.count % 2 == 1 else { throw .wrongArgumentCount }
    if try anyLive(arguments, executor, session) { return executor.reply.integer(0) }
    try putMany(arguments, executor, session)
    executor.reply.integer(1)
  }

  /// Looks at every pair before the first is written, so that the unit is not refused half-way. True if a key exists.
  private static func anyLive(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure) -> Bool
  {
    let keys = executor.keys
    var exists = false
    for i in stride(from: 1, to: arguments.count, by: 2) {
      if keys.live(try keys.target(arguments[i], in: session.database)) != nil { exists = true }
      guard arguments[i + 1].count <= keys.store.configuration.valueBytesMax else { throw .valueTooLong }
    }
    return exists
  }

  private static func putMany(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    try keys.unit(in: session.database) { () throws(CommandFailure) in
      for i in stride(from: 1, to: arguments.count, by: 2) {
        let key = arguments[i]
        try keys.put(
          try keys.target(key, in: session.database), key: key, value: arguments[i + 1], expiry: 0, in: session.database
        )
      }
    }
  }
}
