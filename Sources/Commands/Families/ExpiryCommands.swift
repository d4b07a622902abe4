// Raw memory: values are copied from where the old record lies to the new one.
import LogStore
import RESP

/// Commands about when keys expire. A new expiry is a new record of the whole value: expiries are replicated like
/// everything else, and the newest record tells all about its key.
enum ExpiryCommands {
  /// EXPIRE key seconds [NX | XX | GT | LT]. A time that has passed deletes the key.
  static func expire(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try expire(arguments, executor, session, .seconds, isAfter: true)
  }

  /// PEXPIRE
  static func expireInMilliseconds(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try expire(arguments, executor, session, .milliseconds, isAfter: true)
  }

  /// EXPIREAT
  static func expireAt(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try expire(arguments, executor, session, .seconds, isAfter: false)
  }

  /// PEXPIREAT
  static func expireAtMilliseconds(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try expire(arguments, executor, session, .milliseconds, isAfter: false)
  }

  private static func expire(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session, _ unit: TimeUnit, isAfter: Bool
  ) throws(CommandFailure) {
    let keys = executor.keys
    guard let conditions = try expireConditions(arguments, executor) else { return }
    guard var when = parseInteger(arguments[2]) else { throw .notInteger }
    if unit == .seconds {
      let (milliseconds, over) = when.multipliedReportingOverflow(by: 1000)
      if over { throw .invalidExpireTime }
      when = milliseconds
    }
    if isAfter {
      let (absolute, over) = when.addingReportingOverflow(Int64(clamping: keys.now))
      if over { throw .invalidExpireTime }
      when = absolute
    }
    let key = arguments[1]
    guard let found = try keys.existing(key, in: session.database) else { return executor.reply.integer(0) }
    guard conditions.isEmpty || conditions.allow(when, present: found.record.expiry) else {
      return executor.reply.integer(0)
    }
    if when <= Int64(clamping: keys.now) {
      try keys.remove(found.target, key: key)
    } else {
      let value = try keys.expanded(found.record, at: found.target).value
      try keys.put(found.target, key: key, value: value, expiry: UInt64(when), in: session.database)
    }
    executor.reply.integer(1)
  }

  private struct ExpireConditions: OptionSet {
    let rawValue: UInt8
    static let noExpiry = ExpireConditions(rawValue: 1 << 0)
    static let someExpiry = ExpireConditions(rawValue: 1 << 1)
    static let later = ExpireConditions(rawValue: 1 << 2)
    static let earlier = ExpireConditions(rawValue: 1 << 3)

    /// `present` is 0 for a key that never expires.
    func allow(_ when: Int64, present: UInt64) -> Bool {
      let expires = present != 0
      let current = Int64(clamping: present)
      if contains(.noExpiry), expires { return false }
      if contains(.someExpiry), !expires { return false }
      if contains(.later), !expires || when <= current { return false }
      if contains(.earlier), expires, when >= current { return false }
      return true
    }
  }

  /// nil: an option was not understood, and the reply says so.
  private static func expireConditions(
    _ arguments: borrowing ArgumentList, _ executor: Executor
  ) throws(CommandFailure) -> ExpireConditions? {
    var conditions: ExpireConditions = []
    var i = 3
    while i < arguments.count {
      let option = arguments[i]
      if equalsIgnoringCase(option, "nx") {
        conditions.insert(.noExpiry)
      } else if equalsIgnoringCase(option, "xx") {
        conditions.insert(.someExpiry)
      } else if equalsIgnoringCase(option, "gt") {
        conditions.insert(.later)
      } else if equalsIgnoringCase(option, "lt") {
        conditions.insert(.earlier)
      } else {
        executor.errorReplies &+= 1
        executor.reply.error("ERR Unsupported option ", quoting: option, "")
        return nil
      }
      i += 1
    }
    if conditions.contains(.noExpiry), conditions != .noExpiry {
      throw .text("ERR NX and XX, GT or LT options at the same time are not compatible")
    }
    if conditions.isSuperset(of: [.later, .earlier]) {
      throw .text("ERR GT and LT options at the same time are not compatible")
    }
    return conditions
  }

  // MARK: Asking

  /// TTL key
  static func secondsLeft(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try tellExpiry(arguments, executor, session) { expiry, now in seconds(expiry - now) }
  }

  /// PTTL key
  static func millisecondsLeft(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try tellExpiry(arguments, executor, session) { expiry, now in expiry - now }
  }

  /// EXPIRETIME key
  static func expirySeconds(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try tellExpiry(arguments, executor, session) { expiry, _ in seconds(expiry) }
  }

  /// PEXPIRETIME key
  static func expiryMilliseconds(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try tellExpiry(arguments, executor, session) { expiry, _ in expiry }
  }

  /// -2 for no key, -1 for a key without expiry, otherwise what `shown` makes of its expiry and the time.
  private static func tellExpiry(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session, _ shown: (UInt64, UInt64) -> UInt64
  ) throws(CommandFailure) {
    let keys = executor.keys
    guard let record = keys.counted(try keys.readStored(arguments[1], in: session.database)) else {
      return executor.reply.integer(-2)
    }
    if record.expiry == 0 { return executor.reply.integer(-1) }
    // The record is alive: its expiry lies ahead.
    executor.reply.integer(Int64(clamping: shown(record.expiry, keys.now)))
  }

  /// Rounded, as Redis does.
  private static func seconds(_ milliseconds: UInt64) -> UInt64 {
    milliseconds / 1000 + (milliseconds % 1000 >= 500 ? 1 : 0)
  }

  /// PERSIST key
  static func persist(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    guard let found = try keys.existing(key, in: session.database), found.record.expiry != 0 else {
      return executor.reply.integer(0)
    }
    let value = try keys.expanded(found.record, at: found.target).value
    try keys.put(found.target, key: key, value: value, expiry: 0, in: session.database)
    executor.reply.integer(1)
  }
}
