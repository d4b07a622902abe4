// Raw memory: looks at words of a client where they lie.
import Commands
import RESP

/// What clients and tools ask about features of Redis that are not here: access control, modules, a cluster, scripts,
/// functions, publish and subscribe. Answered as a Redis does that has none of them in use.
enum AbsentFeatures {
  typealias Arguments = ArgumentList

  // MARK: ACL: everybody is the default user

  private static let defaultUser = "default"

  /// ACL WHOAMI
  static func whoAmI(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.bulk(defaultUser)
  }

  /// ACL USERS
  static func users(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.array(1)
    executor.reply.bulk(defaultUser)
  }

  /// ACL LIST. Nothing is shown of a password but that there is one.
  static func accessList(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.array(1)
    executor.reply.bulk("user default on \(executor.services.password == nil ? "nopass" : "#hidden") ~* &* +@all")
  }

  /// ACL GETUSER name
  static func user(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    guard arguments[2].elementsEqual(defaultUser.utf8) else { return executor.reply.null() }
    let hasPassword = executor.services.password != nil
    executor.reply.map(6)
    executor.reply.bulk("flags")
    executor.reply.set(hasPassword ? 1 : 2)
    executor.reply.bulk("on")
    if !hasPassword { executor.reply.bulk("nopass") }
    executor.reply.bulk("passwords")
    executor.reply.array(hasPassword ? 1 : 0)
    if hasPassword { executor.reply.bulk("hidden") }
    for (name, value) in [("commands", "+@all"), ("keys", "~*"), ("channels", "&*")] {
      executor.reply.bulk(name)
      executor.reply.bulk(value)
    }
    executor.reply.bulk("selectors")
    executor.reply.array(0)
  }

  /// ACL CAT [category]
  static func categories(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard arguments.count <= 3 else { return executor.reply.subcommandSyntaxError(arguments) }
    if arguments.count == 2 {
      executor.reply.array(Self.redisCategories.count)
      for name in Self.redisCategories { executor.reply.bulk(name) }
      return
    }
    guard Self.redisCategories.contains(where: { equalsIgnoringCase(arguments[2], $0) }) else {
      return executor.reply.error("ERR Unknown category '", quoting: arguments[2], "'")
    }
    var names: [String] = []
    if let category = CommandCategories(named: arguments[2]) {
      for row in executor.table.rows {
        if row.subcommands.isEmpty, row.categories.isSuperset(of: category) { names.append(row.name) }
        names += row.subcommands.filter { $0.categories.isSuperset(of: category) }.map(\.name)
      }
    }
    executor.reply.array(names.count)
    for name in names { executor.reply.bulk(name) }
  }

  /// Those of types that are not here have no commands.
  private static let redisCategories: [StaticString] = [
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
  ]

  // MARK: Lists of nothing

  /// MODULE LIST
  static func emptyList(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.array(0)
  }

  /// CLUSTER ..., READONLY, READWRITE, ASKING
  static func cluster(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    throw .text("ERR This instance has cluster support disabled")
  }

  // MARK: Scripts and functions

  /// SCRIPT EXISTS digest [digest ...]
  static func scriptsExist(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.array(arguments.count - 2)
    for _ in 2..<arguments.count { executor.reply.integer(0) }
  }

  /// SCRIPT FLUSH [ASYNC | SYNC]
  static func flushScripts(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard isFlush(arguments) else { throw .text("ERR SCRIPT FLUSH only support SYNC|ASYNC option") }
    executor.reply.ok()
  }

  /// FUNCTION FLUSH [ASYNC | SYNC]
  static func flushFunctions(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard arguments.count <= 3 else { return executor.reply.subcommandSyntaxError(arguments) }
    guard isFlush(arguments) else { throw .text("ERR FUNCTION FLUSH only supports SYNC|ASYNC option") }
    executor.reply.ok()
  }

  private static func isFlush(_ arguments: borrowing Arguments) -> Bool {
    guard arguments.count > 2 else { return true }
    return arguments.count == 3
      && (equalsIgnoringCase(arguments[2], "sync") || equalsIgnoringCase(arguments[2], "async"))
  }

  /// SCRIPT KILL, FUNCTION KILL
  static func killScript(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    throw .text("NOTBUSY No scripts in execution right now.")
  }

  /// FUNCTION LIST [LIBRARYNAME pattern] [WITHCODE]
  static func functions(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    var i = 2
    while i < arguments.count {
      if equalsIgnoringCase(arguments[i], "libraryname") {
        i += 1
        guard i < arguments.count else { throw .text("ERR library name argument was not given") }
      } else if !equalsIgnoringCase(arguments[i], "withcode") {
        return executor.reply.error("ERR Unknown argument ", quoting: arguments[i], "")
      }
      i += 1
    }
    executor.reply.array(0)
  }

  /// FUNCTION STATS
  static func functionStatistics(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.map(2)
    executor.reply.bulk("running_script")
    executor.reply.null()
    executor.reply.bulk("engines")
    executor.reply.map(1)
    executor.reply.bulk("LUA")
    executor.reply.map(2)
    for name: StaticString in ["libraries_count", "functions_count"] {
      executor.reply.bulk(name)
      executor.reply.integer(0)
    }
  }

  // MARK: Publish and subscribe

  /// PUBSUB CHANNELS [pattern], PUBSUB SHARDCHANNELS [pattern]
  static func channels(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard arguments.count <= 3 else { return executor.reply.subcommandSyntaxError(arguments) }
    executor.reply.array(0)
  }

  /// PUBSUB NUMSUB [channel ...], PUBSUB SHARDNUMSUB [channel ...]
  static func subscribers(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.array((arguments.count - 2) * 2)
    for i in 2..<arguments.count {
      executor.reply.bulk(arguments[i])
      executor.reply.integer(0)
    }
  }

  /// PUBSUB NUMPAT
  static func patterns(_ arguments: borrowing Arguments, _ executor: Executor, _ session: Session) {
    executor.reply.integer(0)
  }

  // MARK: LOLWUT

  /// LOLWUT [VERSION number]: the version, without a picture.
  static func version(
    _ arguments: borrowing Arguments, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    if arguments.count >= 3, equalsIgnoringCase(arguments[1], "version") {
      guard parseInteger(arguments[2]) != nil else { throw .notInteger }
    }
    executor.reply.verbatim("Redis ver. \(executor.services.redisVersion)\n")
  }
}
