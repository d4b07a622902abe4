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
  ///
  /// - Parameter sets: SET, which has more options than GETEX.
  @inline(__always)
  init(_ arguments: borrowing ArgumentList, from first: Int, sets: Bool) throws(CommandFailure) {
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

/// Commands that set a value with its expiry: SET and its kin.
enum SetCommands {
  /// SET key value [options], two arguments or none.
  @inline(__always)
  static func set(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session) throws(CommandFailure)
  {
    let keys = executor.keys
    guard arguments.count == 3 else { return try setWithOptions(arguments, executor, session) }
    let key = arguments[1]
    keys.compressAhead(arguments[2])
    try keys.put(
      try keys.target(key, in: session.database), key: key, value: arguments[2], expiry: 0, in: session.database)
    executor.reply.ok()
  }

  /// SET key value [NX | XX] [GET] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL]
  static func setWithOptions(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let options = try SetOptions(arguments, from: 3, sets: true)
    var expiry = try deadline(options, arguments, executor)
    let key = arguments[1]
    if !options.onlyIfAbsent, !options.onlyIfPresent { keys.compressAhead(arguments[2]) }
    let target = try keys.target(key, in: session.database)
    let old = options.returnsOld ? try keys.liveValue(target) : keys.live(target)
    if options.expiry == .keep { expiry = old?.expiry ?? 0 }
    let happens = old == nil ? !options.onlyIfPresent : !options.onlyIfAbsent
    if happens {
      try set(target, old: old, key: key, value: arguments[2], expiry: expiry, keys, in: session.database)
    } else if old == nil {
      try keys.noteAbsence(key, in: session.database)
    }
    if options.returnsOld {
      executor.reply.value(keys.counted(old))
    } else if happens {
      executor.reply.ok()
    } else {
      executor.reply.null()
    }
  }

  /// SETNX key value
  static func setIfAbsent(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let key = arguments[1]
    let target = try keys.target(key, in: session.database)
    if keys.live(target) != nil { return executor.reply.integer(0) }
    try keys.put(target, key: key, value: arguments[2], expiry: 0, in: session.database)
    executor.reply.integer(1)
  }

  /// SETEX key seconds value
  static func setExpiring(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try setExpiring(arguments, executor, session, .seconds)
  }

  /// PSETEX key milliseconds value
  static func setExpiringInMilliseconds(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    try setExpiring(arguments, executor, session, .milliseconds)
  }

  private static func setExpiring(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session, _ unit: TimeUnit
  ) throws(CommandFailure) {
    let keys = executor.keys
    let expiry = try deadline(arguments[2], .after(unit), executor)
    let key = arguments[1]
    keys.compressAhead(arguments[3])
    try keys.put(
      try keys.target(key, in: session.database), key: key, value: arguments[3], expiry: expiry, in: session.database)
    executor.reply.ok()
  }

  /// GETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST]
  static func getAndSetExpiry(_ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session)
    throws(CommandFailure)
  {
    let keys = executor.keys
    let options = try SetOptions(arguments, from: 2, sets: false)
    let key = arguments[1]
    if options.expiry == .none {
      executor.reply.value(keys.counted(try keys.read(key, in: session.database)))
      return
    }
    let target = try keys.target(key, in: session.database)
    guard let old = keys.counted(try keys.liveValue(target)) else {
      try keys.noteAbsence(key, in: session.database)
      return executor.reply.null()
    }
    // PERSIST: no deadline.
    let expiry = try deadline(options, arguments, executor)
    if expiry != old.expiry {
      try set(target, old: old, key: key, value: old.value, expiry: expiry, keys, in: session.database)
    }
    executor.reply.bulk(old.value)
  }

  /// Writes a value with its expiry; an expiry in the past removes the key instead.
  @inline(__always)
  private static func set(
    _ target: WriteTarget, old: RecordView?, key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer, expiry: UInt64,
    _ keys: KeyAccess, in database: Int
  ) throws(CommandFailure) {
    if _slowPath(expiry != 0 && expiry <= keys.now) {
      if old != nil { try keys.remove(target, key: key) } else { try keys.noteAbsence(key, in: database) }
      return
    }
    try keys.put(target, key: key, value: value, expiry: expiry, in: database)
  }

  // MARK: Deadlines

  /// The expiry that the options ask for, in milliseconds since 1970; 0 if they name no time.
  @inline(__always)
  private static func deadline(
    _ options: SetOptions, _ arguments: borrowing ArgumentList, _ executor: Executor
  ) throws(CommandFailure) -> UInt64 {
    options.timeArgument == 0 ? 0 : try deadline(arguments[options.timeArgument], options.expiry, executor)
  }

  /// A client's time as milliseconds since 1970. It must be positive, and stay below 2^63.
  @inline(__always)
  private static func deadline(
    _ text: UnsafeRawBufferPointer, _ expiry: SetOptions.Expiry, _ executor: Executor
  ) throws(CommandFailure) -> UInt64 {
    let keys = executor.keys
    let number = try integer(text)
    let (unit, start): (TimeUnit, Int64) =
      switch expiry {
      case .after(let unit): (unit, Int64(clamping: keys.now))
      case .at(let unit): (unit, 0)
      case .none, .keep, .remove: preconditionFailure("an expiry without a time has no deadline")
      }
    let (milliseconds, tooMany) = number.multipliedReportingOverflow(by: unit == .seconds ? 1000 : 1)
    let (deadline, tooLate) = milliseconds.addingReportingOverflow(start)
    guard number > 0, !tooMany, !tooLate else { throw .invalidExpireTime }
    return UInt64(deadline)
  }
}
