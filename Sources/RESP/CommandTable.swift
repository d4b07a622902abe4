// Raw memory: looks at names where they lie.

/// The group of a command in `COMMAND DOCS`.
public enum CommandGroup: String, Sendable {
  case string, bitmap, generic, transactions, connection, server
}

/// All that is known about one command or subcommand. Read for `COMMAND`, errors and access rules, not per request.
public struct CommandInfo: Sendable {
  /// The command; for a subcommand, the command that it belongs to.
  public let command: Command
  /// Nil for a command itself.
  public let subcommand: Subcommand?
  /// Lower case; a subcommand's is `container|name`.
  public let name: String
  /// Exact number of arguments, name included; negative: at least so many.
  public let arity: Int
  public let flags: CommandFlags
  public let categories: CommandCategories
  public let tips: CommandTips
  public let keys: [KeySpecification]
  public let group: CommandGroup
  public let since: String
  public let summary: String
  /// Empty where Redis gives none.
  public let complexity: String
  /// The version since which `replacedBy` should be used; empty = not deprecated.
  public let deprecatedSince: String
  public let replacedBy: String
  /// Not meant for clients.
  public let isSystem: Bool
  public fileprivate(set) var subcommands: [CommandInfo] = []

  /// First key, last key and step as one range: `COMMAND INFO`'s older form of `keys`. All 0 without keys.
  public var keyRange: (first: Int, last: Int, step: Int) {
    guard let spec = keys.first else { return (0, 0, 0) }
    let first = keys.map(\.first).min() ?? 0
    let lasts = keys.map { $0.last < 0 ? $0.last : $0.first + $0.last }
    return (first, lasts.contains { $0 < 0 } ? -1 : lasts.max() ?? 0, keys.count == 1 ? spec.step : 1)
  }

  /// True if the command may have this number of arguments, its name included.
  public func accepts(argumentCount: Int) -> Bool {
    arity >= 0 ? argumentCount == arity : argumentCount >= -arity
  }
}

/// Every command with its description. Built once, at the first use; then constant.
public enum CommandTable {
  /// By `Command.rawValue`.
  public static let all: [CommandInfo] = {
    var table = CommandDefinitions()
    defineStringCommands(&table)
    defineBitmapCommands(&table)
    defineGenericCommands(&table)
    defineTransactionCommands(&table)
    defineConnectionCommands(&table)
    defineServerCommands(&table)
    defineDiagnosticCommands(&table)
    definePacelineCommands(&table)
    let sorted = table.commands.sorted { $0.command.rawValue < $1.command.rawValue }
    precondition(sorted.map(\.command) == Command.allCases, "every command is defined exactly once")
    return sorted
  }()

  public static func info(_ command: Command) -> CommandInfo { all[Int(command.rawValue)] }

  /// The command of this name, in any mixture of cases. On the data path hold a `CommandLookup` instead.
  public static func lookup(_ name: UnsafeRawBufferPointer) -> Command? { CommandLookup.shared.find(name) }

  /// The subcommand of this name (without its container's), in any mixture of cases.
  /// Cost: O(subcommands of the container).
  public static func subcommand(of command: Command, named name: UnsafeRawBufferPointer) -> CommandInfo? {
    let info = info(command)
    return info.subcommands.first { candidate in
      equals(name, candidate.name.utf8.dropFirst(info.name.utf8.count + 1))
    }
  }

  /// The command or subcommand of this full name (`get`, `config|get`), in any mixture of cases: `COMMAND INFO`'s rule.
  public static func info(named name: UnsafeRawBufferPointer) -> CommandInfo? {
    guard let bar = name.firstIndex(of: UInt8(ascii: "|")) else { return lookup(name).map { info($0) } }
    guard let container = lookup(UnsafeRawBufferPointer(rebasing: name[..<bar])) else { return nil }
    return subcommand(of: container, named: UnsafeRawBufferPointer(rebasing: name[(bar + 1)...]))
  }

  /// The command or subcommand that these arguments call, from argument `first` on; nil if there is none such.
  public static func resolve(_ arguments: borrowing ArgumentList, from first: Int = 0) -> CommandInfo? {
    guard first < arguments.count, let command = lookup(arguments[first]) else { return nil }
    let info = info(command)
    guard !info.subcommands.isEmpty, first + 1 < arguments.count else { return info }
    return subcommand(of: command, named: arguments[first + 1])
  }

  /// One key among a command's arguments.
  public struct KeyPosition: Equatable, Sendable {
    /// Index into the argument list.
    public let index: Int
    public let flags: KeyFlags
  }

  /// Where the keys are among the arguments of a command that begins at argument `first` (`COMMAND GETKEYS`).
  ///
  /// Empty if the command has no keys. The number of arguments should have been checked against the arity before.
  public static func keys(
    of info: CommandInfo, arguments: borrowing ArgumentList, from first: Int = 0
  ) -> [KeyPosition] {
    var found: [KeyPosition] = []
    let count = arguments.count - first
    for spec in info.keys {
      let last = spec.last < 0 ? count + spec.last : spec.first + spec.last
      var flags = spec.flags
      if spec.isVariable { flags = setFlags(arguments, from: first) }
      var index = spec.first
      while index <= last && index < count {
        found.append(KeyPosition(index: first + index, flags: flags))
        index += spec.step
      }
    }
    return found
  }

  /// `SET` reads its key only if it is asked for the old value.
  private static func setFlags(_ arguments: borrowing ArgumentList, from first: Int) -> KeyFlags {
    var i = first + 3
    while i < arguments.count {
      if equalsIgnoringCase(arguments[i], "get") { return [.rw, .access, .update] }
      i += 1
    }
    return [.ow, .update]
  }

  private static func equals(_ bytes: UnsafeRawBufferPointer, _ lowerCase: Substring.UTF8View) -> Bool {
    bytes.count == lowerCase.count && zip(bytes, lowerCase).allSatisfy { lowercased($0) == $1 }
  }
}

/// Collects the definitions of `Tables` while `CommandTable.all` is built.
struct CommandDefinitions {
  var group = CommandGroup.server
  private(set) var commands: [CommandInfo] = []

  mutating func command(
    _ command: Command, _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories,
    since: String, summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = [],
    deprecated: String = "", replacedBy: String = "", isSystem: Bool = false
  ) {
    commands.append(
      CommandInfo(
        command: command, subcommand: nil, name: name, arity: arity, flags: flags,
        categories: categories.union(CommandCategories(impliedBy: flags)), tips: tips, keys: keys, group: group,
        since: since, summary: summary, complexity: complexity, deprecatedSince: deprecated, replacedBy: replacedBy,
        isSystem: isSystem))
  }

  /// Adds a subcommand to the command defined last.
  mutating func subcommand(
    _ subcommand: Subcommand, _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories,
    since: String, summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = []
  ) {
    let last = commands.count - 1
    precondition(last >= 0 && name.hasPrefix(commands[last].name + "|"), "a subcommand follows its command")
    commands[last].subcommands.append(
      CommandInfo(
        command: commands[last].command, subcommand: subcommand, name: name, arity: arity, flags: flags,
        categories: categories.union(CommandCategories(impliedBy: flags)), tips: tips, keys: keys, group: group,
        since: since, summary: summary, complexity: complexity, deprecatedSince: "", replacedBy: "",
        isSystem: false))
  }
}
