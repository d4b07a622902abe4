// Raw memory: compares names where they lie.

/// What a command does and when it may run, in the order in which `COMMAND INFO` lists it.
public struct CommandFlags: OptionSet, Sendable {
  public let rawValue: UInt32
  @inlinable public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// May change data: goes to the log, is refused on a slave.
  public static let write = CommandFlags(rawValue: 1 << 0)
  public static let readonly = CommandFlags(rawValue: 1 << 1)
  /// Refused where there is no more memory or disk.
  public static let denyOOM = CommandFlags(rawValue: 1 << 2)
  public static let admin = CommandFlags(rawValue: 1 << 3)
  public static let noScript = CommandFlags(rawValue: 1 << 4)
  /// May let the client wait.
  public static let blocking = CommandFlags(rawValue: 1 << 5)
  /// Allowed while the data is being loaded.
  public static let loading = CommandFlags(rawValue: 1 << 6)
  /// Allowed on a slave whose data is too old.
  public static let stale = CommandFlags(rawValue: 1 << 7)
  public static let skipSlowlog = CommandFlags(rawValue: 1 << 8)
  /// Takes constant or logarithmic time.
  public static let fast = CommandFlags(rawValue: 1 << 9)
  /// Allowed before authentication.
  public static let noAuth = CommandFlags(rawValue: 1 << 10)
  public static let noAsyncLoading = CommandFlags(rawValue: 1 << 11)
  /// Not allowed in a transaction.
  public static let noMulti = CommandFlags(rawValue: 1 << 12)
  public static let allowBusy = CommandFlags(rawValue: 1 << 13)
  /// Answers when other loops, files or nodes have, or takes the store's lock by itself: at the end of a transaction, and
  /// not inside it. Not shown.
  public static let waits = CommandFlags(rawValue: 1 << 14)

  /// Redis's words for the flags, by bit.
  static let names: [StaticString] = [
    "write", "readonly", "denyoom", "admin", "noscript", "blocking", "loading", "stale", "skip_slowlog", "fast",
    "no_auth", "no_async_loading", "no_multi", "allow_busy",
  ]
}

/// The categories of commands that Redis's access control knows, in the order in which `COMMAND INFO` lists them.
public struct CommandCategories: OptionSet, Sendable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  public static let keyspace = CommandCategories(rawValue: 1 << 0)
  public static let read = CommandCategories(rawValue: 1 << 1)
  public static let write = CommandCategories(rawValue: 1 << 2)
  public static let string = CommandCategories(rawValue: 1 << 3)
  public static let bitmap = CommandCategories(rawValue: 1 << 4)
  public static let admin = CommandCategories(rawValue: 1 << 5)
  public static let fast = CommandCategories(rawValue: 1 << 6)
  public static let slow = CommandCategories(rawValue: 1 << 7)
  public static let blocking = CommandCategories(rawValue: 1 << 8)
  public static let dangerous = CommandCategories(rawValue: 1 << 9)
  public static let connection = CommandCategories(rawValue: 1 << 10)
  public static let transaction = CommandCategories(rawValue: 1 << 11)

  static let names: [StaticString] = [
    "@keyspace", "@read", "@write", "@string", "@bitmap", "@admin", "@fast", "@slow", "@blocking", "@dangerous",
    "@connection", "@transaction",
  ]

  /// The category of this name (without `@`), in any mixture of cases; nil if there is none.
  public init?(named name: UnsafeRawBufferPointer) {
    let bit = Self.names.firstIndex { known in
      let word = UnsafeRawBufferPointer(start: known.utf8Start + 1, count: known.utf8CodeUnitCount - 1)
      return word.count == name.count && zip(word, name).allSatisfy { $0 == lowercased($1) }
    }
    guard let bit else { return nil }
    self.init(rawValue: 1 << UInt16(bit))
  }

  /// The categories that follow from a command's flags.
  init(impliedBy flags: CommandFlags) {
    self = flags.contains(.fast) ? .fast : .slow
    if flags.contains(.write) { insert(.write) }
    if flags.contains(.readonly) { insert(.read) }
    if flags.contains(.admin) { formUnion([.admin, .dangerous]) }
    if flags.contains(.blocking) { insert(.blocking) }
  }
}

/// Hints for clients and proxies that send one command to several nodes, as `COMMAND INFO` gives them.
public struct CommandTips: OptionSet, Sendable {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  static let anyOutput = CommandTips(rawValue: 1 << 0)
  static let anyOrder = CommandTips(rawValue: 1 << 1)
  static let allNodes = CommandTips(rawValue: 1 << 2)
  static let allShards = CommandTips(rawValue: 1 << 3)
  static let multiShard = CommandTips(rawValue: 1 << 4)
  static let specialRequest = CommandTips(rawValue: 1 << 5)
  static let allSucceeded = CommandTips(rawValue: 1 << 6)
  static let minimum = CommandTips(rawValue: 1 << 7)
  static let sum = CommandTips(rawValue: 1 << 8)
  static let specialResponse = CommandTips(rawValue: 1 << 9)

  static let names: [StaticString] = [
    "nondeterministic_output", "nondeterministic_output_order", "request_policy:all_nodes",
    "request_policy:all_shards", "request_policy:multi_shard", "request_policy:special",
    "response_policy:all_succeeded", "response_policy:agg_min", "response_policy:agg_sum", "response_policy:special",
  ]
}

/// What a command does to a key, in Redis's words.
public struct KeyFlags: OptionSet, Sendable {
  public let rawValue: UInt8
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  public static let ro = KeyFlags(rawValue: 1 << 0)
  public static let rw = KeyFlags(rawValue: 1 << 1)
  public static let ow = KeyFlags(rawValue: 1 << 2)
  public static let rm = KeyFlags(rawValue: 1 << 3)
  public static let access = KeyFlags(rawValue: 1 << 4)
  public static let update = KeyFlags(rawValue: 1 << 5)
  public static let insert = KeyFlags(rawValue: 1 << 6)
  public static let delete = KeyFlags(rawValue: 1 << 7)

  static let names: [StaticString] = ["RO", "RW", "OW", "RM", "access", "update", "insert", "delete"]
}

/// Where a command's keys are and what it does to them: one of Redis's key specifications.
public struct KeySpecification: Sendable {
  /// Index of the first key; the command's name is 0.
  public let first: Int
  /// Last key: counted from `first` where 0 or more, from the end (-1 = last argument) where negative.
  public let last: Int
  /// Arguments from one key to the next.
  public let step: Int
  public let flags: KeyFlags
  /// The true flags depend on the arguments (`SET` with `GET`).
  public let isVariable: Bool
  public let note: String

  enum Flag {
    case ro, rw, ow, rm, access, update, insert, delete, variable
  }

  static func key(_ first: Int, _ flags: [Flag], note: String = "") -> KeySpecification {
    keys(first, last: 0, step: 1, flags, note: note)
  }

  static func keys(_ first: Int, last: Int, step: Int, _ flags: [Flag], note: String = "") -> KeySpecification {
    var set: KeyFlags = []
    var isVariable = false
    for flag in flags {
      switch flag {
      case .ro: set.insert(.ro)
      case .rw: set.insert(.rw)
      case .ow: set.insert(.ow)
      case .rm: set.insert(.rm)
      case .access: set.insert(.access)
      case .update: set.insert(.update)
      case .insert: set.insert(.insert)
      case .delete: set.insert(.delete)
      case .variable: isVariable = true
      }
    }
    return KeySpecification(first: first, last: last, step: step, flags: set, isVariable: isVariable, note: note)
  }
}
