/// The group of a command in `COMMAND DOCS`.
package enum CommandGroup: String, Sendable {
  case string, bitmap, generic, transactions, connection, server, cluster, scripting, pubsub
}

/// All that is known about one command or subcommand, its function included. Constant once its table is built.
///
/// The flags, the arity and the function are copied to `CommandLookup` for the hot path; the rest is read for `COMMAND`,
/// for help and for errors.
package final class CommandRow: Sendable {
  /// The command; for a subcommand, the command that it belongs to.
  package let command: Command
  /// Its place among `CommandFigures`: of a command its number, of subcommands the places behind those.
  package let figure: Int
  /// Lower case; a subcommand's is `container|name`.
  package let name: String
  /// Exact number of arguments, name included; negative: at least so many.
  package let arity: Int
  package let flags: CommandFlags
  package let categories: CommandCategories
  package let tips: CommandTips
  package let keys: [KeySpecification]
  package let group: CommandGroup
  package let since: String
  package let summary: String
  /// Empty where Redis gives none.
  package let complexity: String
  /// The version since which `replacedBy` should be used; empty = not deprecated.
  package let deprecatedSince: String
  package let replacedBy: String
  /// Not meant for clients.
  package let isSystem: Bool
  /// Its lines in the container's HELP; a container's own come before those of its subcommands. Empty: none.
  package let help: String
  /// Which arguments neither SLOWLOG nor MONITOR may show.
  package let secrets: [SecretArgument]
  package let function: CommandFunction
  package let subcommands: [CommandRow]

  init(
    _ command: Command, figure: Int, _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories,
    tips: CommandTips, keys: [KeySpecification], group: CommandGroup, since: String, summary: String,
    complexity: String, deprecatedSince: String, replacedBy: String, isSystem: Bool, help: String,
    secrets: [SecretArgument], function: CommandFunction, subcommands: [CommandRow]
  ) {
    self.command = command
    self.figure = figure
    self.name = name
    self.arity = arity
    self.flags = flags.union(CommandFlags(impliedBy: function, hasSubcommands: !subcommands.isEmpty))
    self.categories = categories.union(CommandCategories(impliedBy: flags))
    self.tips = tips
    self.keys = keys
    self.group = group
    self.since = since
    self.summary = summary
    self.complexity = complexity
    self.deprecatedSince = deprecatedSince
    self.replacedBy = replacedBy
    self.isSystem = isSystem
    self.help = help
    self.secrets = secrets
    self.function = function
    self.subcommands = subcommands
  }

  /// Only the arguments tell where all of its keys are.
  var hasMovableKeys: Bool { keys.contains { $0.keyword != nil } }

  /// First key, last key and step as one range: `COMMAND INFO`'s older form of `keys`. All 0 without keys.
  package var keyRange: (first: Int, last: Int, step: Int) {
    let keys = keys.filter { $0.keyword == nil }
    guard let spec = keys.first else { return (0, 0, 0) }
    let first = keys.map(\.first).min() ?? 0
    let lasts = keys.map { $0.last < 0 ? $0.last : $0.first + $0.last }
    return (first, lasts.contains { $0 < 0 } ? -1 : lasts.max() ?? 0, keys.count == 1 ? spec.step : 1)
  }

  /// True if the command may have this number of arguments, its name included.
  package func accepts(argumentCount: Int) -> Bool {
    arity >= 0 ? argumentCount == arity : argumentCount >= -arity
  }
}
