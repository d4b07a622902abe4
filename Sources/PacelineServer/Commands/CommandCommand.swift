// Raw memory: hands views of names to the pattern matcher.
import Commands
import RESP

/// COMMAND: what this server's commands are.
extension ServerCore {
  func serveCommand(
    _ subcommand: Subcommand?, _ arguments: borrowing ArgumentList, _ executor: Executor
  ) throws(CommandFailure) {
    switch subcommand {
    case nil:
      executor.reply.array(CommandTable.all.count)
      for info in CommandTable.all { executor.reply.commandInfo(info) }
    case .commandCount: executor.reply.integer(Int64(CommandTable.all.count))
    case .commandInfo:
      if arguments.count == 2 {
        executor.reply.array(CommandTable.all.count)
        for info in CommandTable.all { executor.reply.commandInfo(info) }
      } else {
        executor.reply.array(arguments.count - 2)
        for i in 2..<arguments.count {
          if let info = CommandTable.info(named: arguments[i]) {
            executor.reply.commandInfo(info)
          } else {
            executor.reply.null()
          }
        }
      }
    case .commandDocs:
      var found: [CommandInfo] = []
      if arguments.count == 2 { found = CommandTable.all }
      for i in 2..<max(2, arguments.count) {
        if let info = CommandTable.info(named: arguments[i]) { found.append(info) }
      }
      executor.reply.map(found.count)
      for info in found { executor.reply.commandDocs(info) }
    case .commandList: try commandList(arguments, executor)
    case .commandGetkeys: try commandKeys(arguments, executor, withFlags: false)
    case .commandGetkeysandflags: try commandKeys(arguments, executor, withFlags: true)
    default: executor.reply.help("COMMAND", Self.commandHelp)
    }
  }

  /// COMMAND LIST [FILTERBY MODULE name | ACLCAT category | PATTERN pattern]
  private func commandList(_ arguments: borrowing ArgumentList, _ executor: Executor) throws(CommandFailure) {
    var names: [String] = []
    func addAll(where matches: (CommandInfo) -> Bool) {
      for info in CommandTable.all {
        if matches(info) { names.append(info.name) }
        for subcommand in info.subcommands where matches(subcommand) { names.append(subcommand.name) }
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
        addAll { info in
          var name = info.name
          return name.withUTF8 { GlobPattern.matches(value, UnsafeRawBufferPointer($0), ignoringCase: true) }
        }
      } else if !equalsIgnoringCase(arguments[3], "module") {
        throw .syntax
      }
    }
    executor.reply.array(names.count)
    for name in names { executor.reply.bulk(name) }
  }

  private func commandKeys(
    _ arguments: borrowing ArgumentList, _ executor: Executor, withFlags: Bool
  ) throws(CommandFailure) {
    guard let info = CommandTable.resolve(arguments, from: 2) else { throw .text("ERR Invalid command specified") }
    guard !info.keys.isEmpty else { throw .text("ERR The command has no key arguments") }
    guard info.accepts(argumentCount: arguments.count - 2) else {
      throw .text("ERR Invalid number of arguments specified for command")
    }
    let keys = CommandTable.keys(of: info, arguments: arguments, from: 2)
    guard !keys.isEmpty else { throw .text("ERR Invalid arguments specified for command") }
    executor.reply.array(keys.count)
    for key in keys {
      if withFlags { executor.reply.array(2) }
      executor.reply.bulk(arguments[key.index])
      if withFlags { executor.reply.keyFlags(key.flags) }
    }
  }

  private static let commandHelp = """
    (no subcommand)
        Return details about all Redis commands.
    COUNT
        Return the total number of commands in this Redis server.
    LIST
        Return a list of all commands in this Redis server.
    INFO [<command-name> ...]
        Return details about multiple Redis commands.
        If no command names are given, documentation details for all
        commands are returned.
    DOCS [<command-name> ...]
        Return documentation details about multiple Redis commands.
        If no command names are given, documentation details for all
        commands are returned.
    GETKEYS <full-command>
        Return the keys from a full Redis command.
    GETKEYSANDFLAGS <full-command>
        Return the keys and the access flags from a full Redis command.
    """
}
