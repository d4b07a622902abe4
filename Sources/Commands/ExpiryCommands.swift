// Raw memory: values are copied from where the old record lies to the new one.
import LogStore
import RESP

/// Commands about when keys expire. A new expiry is a new record of the whole value: expiries are replicated like
/// everything else, and the newest record tells all about its key.
extension Executor {
  func expiryCommand(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    switch command {
    case .expire, .pexpire, .expireat, .pexpireat: try expire(command, arguments, session)
    case .ttl, .pttl, .expiretime, .pexpiretime: try tellExpiry(command, arguments, session)
    case .persist: try persist(arguments, session)
    default: preconditionFailure("\(command) is not about expiry")
    }
  }

  /// EXPIRE key seconds [NX | XX | GT | LT], PEXPIRE, EXPIREAT, PEXPIREAT. A time that has passed deletes the key.
  private func expire(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    guard let conditions = try expireConditions(arguments) else { return }
    guard var when = parseInteger(arguments[2]) else { throw .notInteger }
    if command == .expire || command == .expireat {
      let (milliseconds, over) = when.multipliedReportingOverflow(by: 1000)
      if over { throw Self.invalidExpireTime(command) }
      when = milliseconds
    }
    if command == .expire || command == .pexpire {
      let (absolute, over) = when.addingReportingOverflow(Int64(clamping: now))
      if over { throw Self.invalidExpireTime(command) }
      when = absolute
    }
    let key = arguments[1]
    guard let found = try existing(key, in: session.database) else { return reply.integer(0) }
    guard conditions.isEmpty || conditions.allow(when, present: found.record.expiry) else { return reply.integer(0) }
    if when <= Int64(clamping: now) {
      try remove(found.target, key: key)
    } else {
      let value = try expanded(found.record, at: found.target).value
      try put(found.target, key: key, value: value, expiry: UInt64(when), in: session.database)
    }
    reply.integer(1)
  }

  private static func invalidExpireTime(_ command: Command) -> CommandFailure {
    switch command {
    case .expire: .text("ERR invalid expire time in 'expire' command")
    case .pexpire: .text("ERR invalid expire time in 'pexpire' command")
    case .expireat: .text("ERR invalid expire time in 'expireat' command")
    default: .text("ERR invalid expire time in 'pexpireat' command")
    }
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
  private func expireConditions(_ arguments: borrowing ArgumentList) throws(CommandFailure) -> ExpireConditions? {
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
        errorReplies &+= 1
        reply.error("ERR Unsupported option ", quoting: option, "")
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

  /// TTL, PTTL, EXPIRETIME, PEXPIRETIME: -2 for no key, -1 for a key without expiry. Seconds are rounded.
  private func tellExpiry(
    _ command: Command, _ arguments: borrowing ArgumentList, _ session: Session
  ) throws(CommandFailure) {
    guard let record = try readStored(arguments[1], in: session.database) else { return reply.integer(-2) }
    let expiry = record.expiry
    if expiry == 0 { return reply.integer(-1) }
    // The record is alive: its expiry lies ahead.
    let milliseconds = command == .ttl || command == .pttl ? expiry - now : expiry
    let inSeconds = command == .ttl || command == .expiretime
    reply.integer(
      Int64(clamping: inSeconds ? milliseconds / 1000 + (milliseconds % 1000 >= 500 ? 1 : 0) : milliseconds))
  }

  /// PERSIST key
  private func persist(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    let key = arguments[1]
    guard let found = try existing(key, in: session.database), found.record.expiry != 0 else {
      return reply.integer(0)
    }
    let value = try expanded(found.record, at: found.target).value
    try put(found.target, key: key, value: value, expiry: 0, in: session.database)
    reply.integer(1)
  }
}
