// Raw memory: hands views of names to the pattern matcher.
import Commands
import RESP

/// COMMAND: what this server's commands are.
extension ServerCore {
  /// COMMAND
  func listCommands(_ executor: Executor) {
    executor.reply.array(executor.table.rows.count)
    for row in executor.table.rows { executor.reply.commandInfo(row) }
  }

  /// COMMAND COUNT
  func commandCount(_ executor: Executor) { executor.reply.integer(Int64(executor.table.rows.count)) }

  /// COMMAND INFO [name ...]
  func commandInfo(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    if arguments.count == 2 { return listCommands(executor) }
    executor.reply.array(arguments.count - 2)
    for i in 2..<arguments.count {
      if let row = executor.table.row(named: arguments[i]) {
        executor.reply.commandInfo(row)
      } else {
        executor.reply.null()
      }
    }
  }

  /// COMMAND DOCS [name ...]
  func commandDocs(_ arguments: borrowing ArgumentList, _ executor: Executor) {
    var found: [CommandRow] = arguments.count == 2 ? executor.table.rows : []
    for i in 2..<max(2, arguments.count) {
      if let row = executor.table.row(named: arguments[i]) { found.append(row) }
    }
    executor.reply.map(found.count)
    for row in found { executor.reply.commandDocs(row) }
  }

  /// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
  func commandList(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    var names: [String] = []
    func addAll(where matches: (CommandRow) -> Bool) {
      for row in executor.table.rows {
        if matches(row) { names.append(row.name) }
        for subcommand in row.subcommands where matches(subcommand) { names.append(subcommand.name) }
      }
    }
    if arguments.count == 2 {
      addAll { _ in true }
    } else {
      guard arguments.count == 5, equalsIgnoringCase(arguments[2], "filterby") else { throw .syntax }
      let value = arguments[4]
      if equalsIgnoringCase(arguments[3], "aclcat") {
        if let category = CommandCategories(named: value) { addAll { $0.categories.isSuperset(of: category) } }
      } else if equalsIgnoringCase(arguments[3], "pattern") {
        addAll { row in
          var name = row.name
          return name.withUTF8 { GlobPattern.matches(value, UnsafeRawBufferPointer($0), ignoringCase: true) }
        }
      } else if !equalsIgnoringCase(arguments[3], "module") {
        throw .syntax
      }
    }
    executor.reply.array(names.count)
    for name in names { executor.reply.bulk(name) }
  }

  /// COMMAND GETKEYS command ...
  func commandKeys(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    try commandKeys(arguments, executor, withFlags: false)
  }

  /// COMMAND GETKEYSANDFLAGS command ...
  func commandKeysAndFlags(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    try commandKeys(arguments, executor, withFlags: true)
  }

  private func commandKeys(
    _ arguments: borrowing ArgumentList, _ executor: Executor, withFlags: Bool
  ) throws(CommandFailure) {
    guard let row = executor.table.resolve(arguments, from: 2) else { throw .text("ERR Invalid command specified") }
    guard !row.keys.isEmpty else { throw .text("ERR The command has no key arguments") }
    guard row.accepts(argumentCount: arguments.count - 2) else {
      throw .text("ERR Invalid number of arguments specified for command")
    }
    let keys = row.keys(in: arguments, from: 2)
    guard !keys.isEmpty else { throw .text("ERR Invalid arguments specified for command") }
    executor.reply.array(keys.count)
    for key in keys {
      if withFlags { executor.reply.array(2) }
      executor.reply.bulk(arguments[key.index])
      if withFlags { executor.reply.keyFlags(key.flags) }
    }
  }
}
