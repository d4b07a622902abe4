// Raw memory: looks at names where they lie.
import RESP

/// The commands of one kind of host, by their numbers. Built once from rows, then constant.
///
/// The server has one table, a node of the simulator another: the commands on keys are the same rows in both. On the data
/// path an executor holds the table's `lookup` instead.
package final class CommandTable: Sendable {
  /// By `Command.number`.
  package let rows: [CommandRow]
  package let lookup: CommandLookup
  /// Commands and subcommands together: how many figures are kept of them.
  package let figures: Int

  /// The commands on keys and connections, which ask nothing of a host.
  package static let data = CommandTable { $0.addDataCommands() }

  /// Builds a table of what `add` adds. Each name stands once.
  package init(_ add: (inout CommandRows) -> Void) {
    var collected = CommandRows()
    add(&collected)
    precondition(collected.drafts.count <= Int(UInt16.max), "more commands than numbers")
    precondition(Set(collected.drafts.map(\.name)).count == collected.drafts.count, "a command has two rows")
    var figures = collected.drafts.count
    rows = collected.drafts.enumerated().map { index, draft in
      draft.row(Command(number: UInt16(index)), figure: index, next: &figures)
    }
    self.figures = figures
    for row in rows {
      guard case .container = row.function else { continue }
      precondition(row.arity < -1 && !row.subcommands.isEmpty, "\(row.name) has neither function nor subcommand")
    }
    lookup = CommandLookup(rows)
  }

  package func row(_ command: Command) -> CommandRow { rows[Int(command.number)] }

  /// The command or subcommand of this full name (`get`, `config|get`), in any mixture of cases: `COMMAND INFO`'s rule.
  package func row(named name: UnsafeRawBufferPointer) -> CommandRow? {
    guard let bar = name.firstIndex(of: UInt8(ascii: "|")) else { return lookup.find(name).map(row) }
    guard let container = lookup.find(UnsafeRawBufferPointer(rebasing: name[..<bar])) else { return nil }
    return row(container).subcommand(named: UnsafeRawBufferPointer(rebasing: name[(bar + 1)...]))
  }

  /// The command or subcommand that these arguments call, from argument `first` on; nil if there is none such.
  package func resolve(_ arguments: borrowing ArgumentList, from first: Int = 0) -> CommandRow? {
    guard first < arguments.count, let command = lookup.find(arguments[first]) else { return nil }
    let row = row(command)
    guard !row.subcommands.isEmpty, first + 1 < arguments.count else { return row }
    return row.subcommand(named: arguments[first + 1])
  }
}

extension CommandRow {
  /// The subcommand of this name (without its container's), in any mixture of cases. Cost: O(subcommands).
  package func subcommand(named name: UnsafeRawBufferPointer) -> CommandRow? {
    subcommands.first { candidate in
      let known = candidate.name.utf8.dropFirst(self.name.utf8.count + 1)
      return name.count == known.count && zip(name, known).allSatisfy { lowercased($0) == $1 }
    }
  }

  /// One key among a command's arguments.
  package struct KeyPosition: Equatable, Sendable {
    /// Index into the argument list.
    package let index: Int
    package let flags: KeyFlags
  }

  /// Its first word that may be an option.
  private static var optionsOfMigrate: Int { 6 }

  /// Where the keys are among the arguments of a command that begins at argument `first` (`COMMAND GETKEYS`).
  ///
  /// Empty if the command has no keys. The number of arguments should have been checked against the arity before.
  package func keys(in arguments: borrowing ArgumentList, from first: Int = 0) -> [KeyPosition] {
    var found: [KeyPosition] = []
    let count = arguments.count - first
    // MIGRATE: behind KEYS, or one key, which then is empty.
    if let behind = keys.first(where: { $0.keyword != nil }),
      let start = behind.firstBehindKeyword(arguments, from: first + CommandRow.optionsOfMigrate)
    {
      guard let plain = keys.first, first + plain.first < arguments.count, arguments[first + plain.first].isEmpty else {
        return []
      }
      return (start..<arguments.count).map { KeyPosition(index: $0, flags: behind.flags) }
    }
    for spec in keys where spec.keyword == nil {
      let last = spec.last < 0 ? count + spec.last : spec.first + spec.last
      let flags = spec.flags(of: arguments, from: first)
      var index = spec.first
      while index <= last && index < count {
        found.append(KeyPosition(index: first + index, flags: flags))
        index += spec.step
      }
    }
    return found
  }
}
