// Raw memory: values are copied from where the record lies to the reply or to the next record.
import LogStore
import RESP

extension Executor {
  /// The commands on strings that have no place of their own in `run`.
  func stringCommand(_ command: Command, _ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure)
  {
    try admit(command)
    let database = session.database
    switch command {
    case .get, .getset, .getdel, .getrange, .substr, .strlen, .mget:
      try readingCommand(command, arguments, session)
    case .set: try set(arguments, session)
    case .setnx: try setIfAbsent(arguments, in: database)
    case .setex: try setExpiring(arguments, in: database, unit: .seconds, .setex)
    case .psetex: try setExpiring(arguments, in: database, unit: .milliseconds, .psetex)
    case .getex: try getAndSetExpiry(arguments, in: database)
    case .mset: try setMany(arguments, in: database)
    case .msetnx: try setManyIfAbsent(arguments, in: database)
    case .append: try append(arguments, in: database)
    case .setrange: try setRange(arguments, in: database)
    case .incr: try increment(arguments[1], by: 1, in: database)
    case .decr: try increment(arguments[1], by: -1, in: database)
    case .incrby: try increment(arguments[1], by: try integer(arguments[2]), in: database)
    case .decrby: try decrement(arguments, in: database)
    case .incrbyfloat: try incrementFloat(arguments, in: database)
    case .lcs: try longestCommonSubsequence(arguments, in: database)
    default: preconditionFailure("\(command) is not a string command")
    }
  }

  @inline(__always)
  private func readingCommand(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    switch command {
    case .get: try get(arguments, session)
    case .mget: try getMany(arguments, in: session.database)
    case .strlen: try length(arguments, in: session.database)
    case .getrange, .substr: try getRange(arguments, in: session.database)
    case .getset: try getAndSet(arguments, in: session.database)
    case .getdel: try getAndDelete(arguments, in: session.database)
    default: preconditionFailure("\(command) does not answer with a value")
    }
  }

  // MARK: Shared by the families

  /// Refuses what writes on a slave before anything else is said about it.
  @inline(__always)
  func admit(_ command: Command) throws(CommandFailure) {
    if _slowPath(!takesWrites), lookup.flags(command).contains(.write) { throw .readOnly }
  }

  /// An argument as an integer.
  @inline(__always)
  func integer(_ bytes: UnsafeRawBufferPointer) throws(CommandFailure) -> Int64 {
    guard let value = parseInteger(bytes) else { throw .notInteger }
    return value
  }

  /// A reply that says "there is no such key" waits until the removal that it rests on is good. For writes that end
  /// without a record; `read` does it itself.
  @inline(never)
  func noteAbsence(_ key: UnsafeRawBufferPointer, in database: Int) throws(CommandFailure) {
    _ = try readStored(key, in: database)
  }

  /// The live record at a target that a command is going to answer with, counted as a hit or a miss.
  @inline(__always)
  func counted(_ record: RecordView?) -> RecordView? {
    if record == nil { misses &+= 1 } else { hits &+= 1 }
    return record
  }

  /// Answers with a record's value, or with nothing.
  @inline(__always)
  func bulk(_ record: RecordView?) {
    if let record { reply.bulk(record.value) } else { reply.null() }
  }

  // MARK: One value

  /// GET key
  @inline(__always)
  func get(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    if let record = try read(arguments[1], in: session.database) {
      hits &+= 1
      reply.bulk(record.value)
    } else {
      misses &+= 1
      reply.null()
    }
  }

  /// STRLEN key
  private func length(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let record = counted(try readStored(arguments[1], in: database))
    reply.integer(Int64(record?.rawValueBytes ?? 0))
  }

  /// GETRANGE key start end, SUBSTR key start end
  private func getRange(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let start = try integer(arguments[2])
    let end = try integer(arguments[3])
    guard let record = counted(try read(arguments[1], in: database)),
      let range = clampedRange(start, end, length: record.valueBytes), !isReversed(start, end)
    else { return reply.bulk("") }
    reply.bulk(UnsafeRawBufferPointer(rebasing: record.value[range]))
  }

  /// GETSET key value
  private func getAndSet(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let target = try target(key, in: database)
    let old = try liveValue(target)
    try put(target, key: key, value: arguments[2], expiry: 0, in: database)
    // The old record stays readable until the batch ends.
    bulk(counted(old))
  }

  /// GETDEL key
  private func getAndDelete(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let target = try target(key, in: database)
    let old = try liveValue(target)
    if old != nil { try remove(target, key: key) } else { try noteAbsence(key, in: database) }
    bulk(counted(old))
  }

  /// APPEND key value
  private func append(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let tail = arguments[2]
    let target = try target(key, in: database)
    guard let old = try liveValue(target) else {
      try put(target, key: key, value: tail, expiry: 0, in: database)
      return reply.integer(Int64(tail.count))
    }
    if tail.count > 0 {
      let place = try beginPut(
        key: key, valueBytes: old.valueBytes + tail.count, expiry: old.expiry, in: database)
      copy(old.value, to: place)
      copy(tail, to: place + old.valueBytes)
      endPut(target)
    }
    reply.integer(Int64(old.valueBytes + tail.count))
  }

  /// SETRANGE key offset value
  private func setRange(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let piece = arguments[3]
    let announced = try integer(arguments[2])
    guard announced >= 0 else { throw .outOfRange }
    let target = try target(key, in: database)
    let old = try liveValue(target)
    let oldBytes = old?.valueBytes ?? 0
    guard piece.count > 0 else {
      if old == nil { try noteAbsence(key, in: database) }
      return reply.integer(Int64(oldBytes))
    }
    let offset = Int(announced)
    let (end, overflow) = offset.addingReportingOverflow(piece.count)
    guard !overflow, end <= store.configuration.valueBytesMax else { throw .valueTooLong }
    let bytes = max(oldBytes, end)
    let place = try beginPut(key: key, valueBytes: bytes, expiry: old?.expiry ?? 0, in: database)
    let kept = min(oldBytes, offset)
    if let old {
      copy(old.value.prefix(kept), to: place)
      if oldBytes > end { copy(old.value.suffix(oldBytes - end), to: place + end) }
    }
    fillWithZeros(place + kept, offset - kept)
    copy(piece, to: place + offset)
    endPut(target)
    reply.integer(Int64(bytes))
  }

  // MARK: Many values

  /// MGET key [key ...]
  private func getMany(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let begin = reply.count
    var found = 0
    do throws(CommandFailure) {
      try consistently { () throws(CommandFailure) in
        found = 0
        reply.array(arguments.count - 1)
        for i in 1..<arguments.count {
          try releasingValues { () throws(CommandFailure) in
            let record = try read(arguments[i], in: database)
            if record != nil { found &+= 1 }
            bulk(record)
          }
        }
      }
    } catch {
      // An error in the place of the array, not inside of it.
      reply.truncate(to: begin)
      throw error
    }
    hits &+= UInt64(found)
    misses &+= UInt64(arguments.count - 1 - found)
  }

  /// MSET key value [key value ...]
  private func setMany(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    guard arguments.count % 2 == 1 else { throw .wrongArgumentCount(.mset) }
    _ = try anyLive(arguments, in: database)
    try putMany(arguments, in: database)
    reply.ok()
  }

  /// MSETNX key value [key value ...]
  private func setManyIfAbsent(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    guard arguments.count % 2 == 1 else { throw .wrongArgumentCount(.msetnx) }
    if try anyLive(arguments, in: database) { return reply.integer(0) }
    try putMany(arguments, in: database)
    reply.integer(1)
  }

  /// Looks at every pair before the first is written, so that the unit is not refused half-way. True if a key exists.
  private func anyLive(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) -> Bool {
    var exists = false
    for i in stride(from: 1, to: arguments.count, by: 2) {
      if live(try target(arguments[i], in: database)) != nil { exists = true }
      guard arguments[i + 1].count <= store.configuration.valueBytesMax else { throw .valueTooLong }
    }
    return exists
  }

  private func putMany(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    try unit(in: database) { () throws(CommandFailure) in
      for i in stride(from: 1, to: arguments.count, by: 2) {
        let key = arguments[i]
        try put(try target(key, in: database), key: key, value: arguments[i + 1], expiry: 0, in: database)
      }
    }
  }
}

// MARK: Bytes

/// Copies `bytes` to `place`, which has room for them.
@inline(__always)
func copy(_ bytes: UnsafeRawBufferPointer, to place: UnsafeMutableRawPointer) {
  if let source = bytes.baseAddress { place.copyMemory(from: source, byteCount: bytes.count) }
}

@inline(__always)
func copy(_ bytes: Slice<UnsafeRawBufferPointer>, to place: UnsafeMutableRawPointer) {
  copy(UnsafeRawBufferPointer(rebasing: bytes), to: place)
}

@inline(__always)
func fillWithZeros(_ place: UnsafeMutableRawPointer, _ count: Int) {
  _ = UnsafeMutableRawBufferPointer(start: place, count: count).initializeMemory(as: UInt8.self, repeating: 0)
}

/// The part of `0..<length` that Redis's inclusive `start` and `end` name; negative ones count from the end. nil if it
/// is empty.
@inline(__always)
func clampedRange(_ start: Int64, _ end: Int64, length: Int) -> Range<Int>? {
  // A negative number and a length never overflow together.
  let first = start < 0 ? max(0, Int64(length) + start) : start
  let last = min(end < 0 ? max(0, Int64(length) + end) : end, Int64(length) - 1)
  return first <= last ? Int(first)..<Int(last) + 1 : nil
}

/// Both count from the end and the wrong way round: Redis calls that empty, whatever the clamping would make of it.
@inline(__always)
func isReversed(_ start: Int64, _ end: Int64) -> Bool { start < 0 && end < 0 && start > end }
