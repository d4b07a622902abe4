// Raw memory: looks a key up where it lies.
import Commands
import Core
import LogStore
import RESP

/// DEBUG INDEX-DROP and INDEX-POINT
extension ServerCore {
  /// DEBUG INDEX-DROP key [SILENT], DEBUG INDEX-POINT lsn: damage that must be found and repaired. On a slave only, whose
  /// master has the data.
  func breakIndex(
    _ arguments: borrowing ArgumentList, _ executor: Executor, _ session: Session
  ) throws(CommandFailure) {
    guard !isMaster else { throw .text("ERR only a slave's index can be damaged on purpose") }
    let isDrop = equalsIgnoringCase(arguments[1], "index-drop")
    let isSilent = arguments.count == 4 && equalsIgnoringCase(arguments[3], "silent")
    guard arguments.count == 3 || isDrop && isSilent else { throw .syntax }
    var lsn: Int64 = 0
    if !isDrop {
      guard let number = parseInteger(arguments[2]), number > 0 else { throw .notInteger }
      lsn = number
    }
    let isDone = still(executor) { store in
      isDrop
        ? store.breakIndex(dropping: arguments[2], database: session.database, silently: isSilent)
        : store.breakIndex(pointingAt: LSN(UInt64(lsn)))
    }
    guard isDone else { throw .noSuchKey }
    executor.reply.ok()
  }
}
