import Commands
import NodeCommands

extension CommandTable {
  /// Every command that the server answers.
  package static let server = CommandTable { rows in
    rows.addDataCommands()
    rows.addClientCommands()
    rows.addServerCommands()
    rows.addDiagnosticCommands()
    rows.addLogCommands()
    rows.addAbsentCommands()
    rows.addRowCommands()
  }
}
