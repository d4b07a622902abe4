// Raw memory: options are compared and values copied where they lie.
import LogStore
import RESP

/// What SET and GETEX are told beside key and value.
struct SetOptions {
  enum Expiry: Equatable {
    case none
    /// KEEPTTL
    case keep
    /// PERSIST
    case remove
    /// EX, PX
    case after(TimeUnit)
    /// EXAT, PXAT
    case at(TimeUnit)
  }
  var expiry = Expiry.none
  /// The argument with the time, of those who have one. Given twice, the later one counts.
  var timeArgument = 0
  var onlyIfAbsent = false
  var onlyIfPresent = false
  var returnsOld = false

  /// Reads the options from argument `first` on.
  @inline(__always)
  init(_ arguments: borrowing ArgumentList, from first: Int, of command: Command) throws(CommandFailure) {
    let sets = command == .set
    var i = first
    while i < arguments.count {
      let word = arguments[i]
      if sets, isWord(word, "NX"), !onlyIfPresent {
        onlyIfAbsent = true
      } else if sets, isWord(word, "XX"), !onlyIfAbsent {
        onlyIfPresent = true
      } else if sets, isWord(word, "GET") {
        returnsOld = true
      } else {
        guard let asked = Self.expiry(word, sets: sets), expiry == .none || expiry == asked else { throw .syntax }
        expiry = asked
        if asked != .keep, asked != .remove {
          i += 1
          guard i < arguments.count else { throw .syntax }
          timeArgument = i
        }
      }
      i += 1
    }
  }

  @inline(__always)
  private static func expiry(_ word: UnsafeRawBufferPointer, sets: Bool) -> Expiry? {
    if isWord(word, "EX") { return .after(.seconds) }
    if isWord(word, "PX") { return .after(.milliseconds) }
    if isWord(word, "EXAT") { return .at(.seconds) }
    if isWord(word, "PXAT") { return .at(.milliseconds) }
    if sets { return isWord(word, "KEEPTTL") ? .keep : nil }
    return isWord(word, "PERSIST") ? .remove : nil
  }
}

enum TimeUnit: Equatable {
  case seconds, milliseconds
}

extension Executor {
  /// SET key value [options], two arguments or none.
  @inline(__always)
  func set(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    guard arguments.count == 3 else { return try setWithOptions(arguments, session) }
    let key = arguments[1]
    compressAhead(arguments[2])
    try put(try target(key, in: session.database), key: key, value: arguments[2], expiry: 0, in: session.database)
    reply.ok()
  }

  /// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
  func setWithOptions(_ arguments: borrowing ArgumentList, _ session: Session) throws(CommandFailure) {
    try admit(.set)
    let options = try SetOptions(arguments, from: 3, of: .set)
    var expiry = try deadline(options, arguments, .set)
    let database = session.database
    let key = arguments[1]
    if !options.onlyIfAbsent, !options.onlyIfPresent { compressAhead(arguments[2]) }
    let target = try target(key, in: database)
    let old = options.returnsOld ? try liveValue(target) : live(target)
    if options.expiry == .keep { expiry = old?.expiry ?? 0 }
    let happens = old == nil ? !options.onlyIfPresent : !options.onlyIfAbsent
    if happens {
      try set(target, old: old, key: key, value: arguments[2], expiry: expiry, in: database)
    } else if old == nil {
      try noteAbsence(key, in: database)
    }
    if options.returnsOld {
      bulk(counted(old))
    } else if happens {
      reply.ok()
    } else {
      reply.null()
    }
  }

  /// SETNX key value
  func setIfAbsent(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let key = arguments[1]
    let target = try target(key, in: database)
    if live(target) != nil { return reply.integer(0) }
    try put(target, key: key, value: arguments[2], expiry: 0, in: database)
    reply.integer(1)
  }

  /// SETEX key seconds value, PSETEX key milliseconds value
  func setExpiring(
    _ arguments: borrowing ArgumentList, in database: Int, unit: TimeUnit, _ command: Command
  ) throws(CommandFailure) {
    let expiry = try deadline(arguments[2], .after(unit), command)
    let key = arguments[1]
    compressAhead(arguments[3])
    try put(try target(key, in: database), key: key, value: arguments[3], expiry: expiry, in: database)
    reply.ok()
  }

  /// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
  func getAndSetExpiry(_ arguments: borrowing ArgumentList, in database: Int) throws(CommandFailure) {
    let options = try SetOptions(arguments, from: 2, of: .getex)
    let key = arguments[1]
    if options.expiry == .none {
      bulk(counted(try read(key, in: database)))
      return
    }
    let target = try target(key, in: database)
    guard let old = counted(try liveValue(target)) else {
      try noteAbsence(key, in: database)
      return reply.null()
    }
    // PERSIST: no deadline.
    let expiry = try deadline(options, arguments, .getex)
    if expiry != old.expiry {
      try set(target, old: old, key: key, value: old.value, expiry: expiry, in: database)
    }
    reply.bulk(old.value)
  }

  /// Writes a value with its expiry; an expiry in the past removes the key instead.
  @inline(__always)
  private func set(
    _ target: WriteTarget, old: RecordView?, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, expiry: UInt64,
    in database: Int
  ) throws(CommandFailure) {
    if _slowPath(expiry != 0 && expiry <= now) {
      if old != nil { try remove(target, key: key) } else { try noteAbsence(key, in: database) }
      return
    }
    try put(target, key: key, value: value, expiry: expiry, in: database)
  }

  // MARK: Deadlines

  /// The expiry that the options ask for, in milliseconds since 1970; 0 if they name no time.
  @inline(__always)
  private func deadline(
    _ options: SetOptions, _ arguments: borrowing ArgumentList, _ command: Command
  ) throws(CommandFailure) -> UInt64 {
    options.timeArgument == 0 ? 0 : try deadline(arguments[options.timeArgument], options.expiry, command)
  }

  /// A client's time as milliseconds since 1970. It must be positive, and stay below 2^63.
  @inline(__always)
  private func deadline(
    _ text: UnsafeRawBufferPointer, _ expiry: SetOptions.Expiry, _ command: Command
  ) throws(CommandFailure) -> UInt64 {
    let number = try integer(text)
    let (unit, start): (TimeUnit, Int64) =
      switch expiry {
      case .after(let unit): (unit, Int64(clamping: now))
      case .at(let unit): (unit, 0)
      case .none, .keep, .remove: preconditionFailure("an expiry without a time has no deadline")
      }
    let (milliseconds, tooMany) = number.multipliedReportingOverflow(by: unit == .seconds ? 1000 : 1)
    let (deadline, tooLate) = milliseconds.addingReportingOverflow(start)
    guard number > 0, !tooMany, !tooLate else { throw Self.invalidExpireTime(command) }
    return UInt64(deadline)
  }

  @inline(never)
  private static func invalidExpireTime(_ command: Command) -> CommandFailure {
    switch command {
    case .set: .text("ERR invalid expire time in 'set' command")
    case .setex: .text("ERR invalid expire time in 'setex' command")
    case .psetex: .text("ERR invalid expire time in 'psetex' command")
    default: .text("ERR invalid expire time in 'getex' command")
    }
  }
}
