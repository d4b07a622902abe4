// Raw memory: numbers are read from the old record and written to the new one.
import LogStore
import RESP

/// Commands on numbers that are stored as strings.
enum NumberCommands {
  /// INCR key
  static func increment(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try add(1, to: arguments[1], executor, session)
  }

  /// DECR key
  static func decrement(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try add(-1, to: arguments[1], executor, session)
  }

  /// INCRBY key n
  static func incrementBy(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try add(try integer(arguments[2]), to: arguments[1], executor, session)
  }

  @inline(__always)
  private static func add(
    _ step: Int64, to key: UnsafeRawBufferPointer, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    let keys = executor.keys
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    let value = if let old { try integer(old.value) } else { Int64(0) }
    let (sum, overflow) = value.addingReportingOverflow(step)
    guard !overflow else { throw .overflow }
    // Room for every integer, on the stack.
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    try withUnsafeMutableBytes(of: &digits) { (room) throws(CommandFailure) in
      guard let start = room.baseAddress else { return }
      let text = UnsafeRawBufferPointer(start: start, count: formatInteger(sum, at: start))
      try keys.put(target, key: key, value: text, expiry: old?.expiry ?? 0, in: session.database)
    }
    executor.reply.integer(sum)
  }

  /// DECRBY key n
  static func decrementBy(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let step = try integer(arguments[2])
    let (negated, overflow) = Int64(0).subtractingReportingOverflow(step)
    guard !overflow else { throw .text("ERR decrement would overflow") }
    try add(negated, to: arguments[1], executor, session)
  }

  /// INCRBYFLOAT key x
  static func incrementByFloat(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    let old = try keys.liveValue(target)
    var value: LongDouble = 0
    if let old {
      guard let number = parseFloat(old.value) else { throw .notFloat }
      value = number
    }
    guard let step = parseFloat(arguments[2]) else { throw .notFloat }
    value += step
    guard value.isFinite else { throw .text("ERR increment would produce NaN or Infinity") }
    var text = formatFloat(value)
    let place = try keys.beginPut(key: key, valueBytes: text.utf8.count, expiry: old?.expiry ?? 0, in: session.database)
    text.withUTF8 { copy(UnsafeRawBufferPointer($0), to: place) }
    keys.endPut(target)
    executor.reply.bulk(text)
  }
}
