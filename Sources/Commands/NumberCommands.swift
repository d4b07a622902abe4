// Raw memory: numbers are read from the old record and written to the new one.
import LogStore
import RESP

extension Executor {
  /// INCR key, DECR key, INCRBY key n
  @inline(__always)
  func increment(_ key: UnsafeRawBufferPointer, by step: Int64, in database: Int) throws(CommandFailure) {
    let target = try target(key, in: database)
    let old = try liveValue(target)
    let value = if let old { try integer(old.value) } else { Int64(0) }
    let (sum, overflow) = value.addingReportingOverflow(step)
    guard !overflow else { throw .overflow }
    // Room for every integer, on the stack.
    var digits: (UInt64, UInt64, UInt64) = (0, 0, 0)
    try withUnsafeMutableBytes(of: &digits) { (room) throws(CommandFailure) in
      guard let start = room.baseAddress else { return }
      let text = UnsafeRawBufferPointer(start: start, count: formatInteger(sum, at: start))
      try put(target, key: key, value: text, expiry: old?.expiry ?? 0, in: database)
    }
    reply.integer(sum)
  }

  /// DECRBY key n
  func decrement(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let step = try integer(arguments[2])
    let (negated, overflow) = Int64(0).subtractingReportingOverflow(step)
    guard !overflow else { throw .text("ERR decrement would overflow") }
    try increment(arguments[1], by: negated, in: database)
  }

  /// INCRBYFLOAT key x
  func incrementFloat(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let target = try target(key, in: database)
    let old = try liveValue(target)
    var value: LongDouble = 0
    if let old {
      guard let number = parseFloat(old.value) else { throw .notFloat }
      value = number
    }
    guard let step = parseFloat(arguments[2]) else { throw .notFloat }
    value += step
    guard value.isFinite else { throw .text("ERR increment would produce NaN or Infinity") }
    var text = formatFloat(value)
    let place = try beginPut(key: key, valueBytes: text.utf8.count, expiry: old?.expiry ?? 0, in: database)
    text.withUTF8 { copy(UnsafeRawBufferPointer($0), to: place) }
    endPut(target)
    reply.bulk(text)
  }
}
