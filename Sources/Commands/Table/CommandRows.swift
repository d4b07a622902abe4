/// Collects rows while a table is built. Each room adds its own: `addStringCommands`, the server's `addServerCommands`, ...
///
/// One call is one row: all that is said about a command stands in it, and nowhere else.
package struct CommandRows {
  /// Of the rows that follow.
  package var group = CommandGroup.server
  private(set) var drafts: [Draft] = []

  package init() {}

  /// A row that has no number yet.
  struct Draft {
    let name: String
    var subcommands: [Draft] = []
    let make: (_ command: Command, _ figure: Int, [CommandRow]) -> CommandRow

    /// - Parameter next: the first figure that is free.
    func row(_ command: Command, figure: Int, next: inout Int) -> CommandRow {
      var rows: [CommandRow] = []
      for subcommand in subcommands {
        next += 1
        rows.append(subcommand.row(command, figure: next - 1, next: &next))
      }
      return make(command, figure, rows)
    }
  }

  /// Adds a command.
  ///
  /// - Parameters:
  ///   - arity: exact number of arguments, name included; negative: at least so many.
  ///   - help: its lines in HELP, before those of its subcommands.
  ///   - run: its function. A command whose `arity` asks for a second word may have none of its own: `.container`.
  package mutating func command(
    _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories, since: String,
    summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = [],
    deprecated: String = "", replacedBy: String = "", isSystem: Bool = false, help: String = "",
    secrets: [SecretArgument] = [], run: CommandFunction
  ) {
    let group = group
    drafts.append(
      Draft(name: name) { command, figure, subcommands in
        CommandRow(
          command, figure: figure, name, arity: arity, flags, categories, tips: tips, keys: keys, group: group,
          since: since,
          summary: summary, complexity: complexity, deprecatedSince: deprecated, replacedBy: replacedBy,
          isSystem: isSystem, help: help, secrets: secrets, function: run, subcommands: subcommands)
      })
  }

  /// The same for a command that answers at once.
  package mutating func command(
    _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories, since: String,
    summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = [],
    deprecated: String = "", replacedBy: String = "", secrets: [SecretArgument] = [],
    run: @escaping CommandFunction.Answer
  ) {
    command(
      name, arity: arity, flags, categories, since: since, summary: summary, complexity: complexity, keys: keys,
      tips: tips, deprecated: deprecated, replacedBy: replacedBy, secrets: secrets, run: .answers(run))
  }

  /// Adds a subcommand to the command added last. Its name is `container|name`, its help its lines in the container's HELP.
  package mutating func subcommand(
    _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories, since: String,
    summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = [], help: String = "",
    run: CommandFunction
  ) {
    var inner = CommandRows()
    inner.group = group
    inner.command(
      name, arity: arity, flags, categories, since: since, summary: summary, complexity: complexity, keys: keys,
      tips: tips, help: help, run: run)
    let last = drafts.count - 1
    precondition(last >= 0 && name.hasPrefix(drafts[last].name + "|"), "a subcommand follows its command")
    drafts[last].subcommands += inner.drafts
  }

  /// The same for a subcommand that answers at once.
  package mutating func subcommand(
    _ name: String, arity: Int, _ flags: CommandFlags, _ categories: CommandCategories, since: String,
    summary: String, complexity: String, keys: [KeySpecification] = [], tips: CommandTips = [], help: String = "",
    run: @escaping CommandFunction.Answer
  ) {
    subcommand(
      name, arity: arity, flags, categories, since: since, summary: summary, complexity: complexity, keys: keys,
      tips: tips, help: help, run: .answers(run))
  }
}
